"""The command line of training: Lightning's own, with the recipe as its first argument."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import torch
from lightning.pytorch.cli import LightningCLI

from codec.training.data import AudioFolder
from codec.training.module import CodecTraining


def run(arguments: Sequence[str]) -> None:
    """Trains as `arguments` say: a recipe, and any option of the Lightning CLI's `fit` that overrides it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_float32_matmul_precision("high")
    recipe = [f"--config={arguments[0]}"] if arguments and not arguments[0].startswith("-") else []
    rest = list(arguments[len(recipe) :])
    # Lightning suspects a mistake when a program that has a command line of its own hands it arguments.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    LightningCLI(
        CodecTraining,
        AudioFolder,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        args=["fit", *recipe, *rest],
    )
