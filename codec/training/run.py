"""Training by a recipe: Lightning's command line, with the recipe as its first argument."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from codec.errors import CodecError, ConfigError, chain
from codec.tokens import codebooks_for
from codec.training.callbacks import Checkpoints, Listen, Summary, TrainingBar
from codec.training.callbacks.checkpoints import newest
from codec.training.callbacks.distribution import Distribution
from codec.training.data import AudioData
from codec.training.export import ExportModel
from codec.training.finetune import read_checkpoint
from codec.training.module import CodecTraining
from codec.training.parser import RecipeParser
from codec.training.recipe import gather


class RecipeCLI(LightningCLI):
    """Lightning's command line with the callbacks that every run has, each a section of the recipe."""

    def __init__(self, arguments: Sequence[str], callbacks: Sequence[lightning.Callback]) -> None:
        self._callbacks = callbacks
        super().__init__(
            CodecTraining,
            AudioData,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_class=RecipeParser,
            auto_configure_optimizers=False,
            args=list(arguments),
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(Checkpoints, "checkpoint")
        parser.add_lightning_class_args(Listen, "listen")
        parser.add_lightning_class_args(ExportModel, "export")
        parser.add_lightning_class_args(Distribution, "distribution")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        fit = self.config["fit"]
        if fit["ckpt_path"] == "last":
            found = newest(Path(fit["trainer"]["default_root_dir"] or "."))
            fit["ckpt_path"] = None if found is None else str(found)
        elif fit["ckpt_path"] is not None:
            # Lightning reads it next, but would say at length what is wrong with it.
            read_checkpoint(Path(fit["ckpt_path"]))

    def after_instantiate_classes(self) -> None:
        """Raises ConfigError for what would only be noticed after the first epoch, or not at all."""
        codec, data = self.model.codec, self.datamodule
        if data.sample_rate != codec.sample_rate:
            raise ConfigError(
                f"data.sample_rate is {data.sample_rate} Hz and model.codec.sample_rate "
                f"{codec.sample_rate} Hz: they must be the same."
            )
        for kbps in self._get(self.config, "model")["valid_kbps"]:
            codebooks_for(kbps, None, codec.frame_rate, codec.quantizer.codebook_sizes)

    def instantiate_trainer(self, **kwargs: Any) -> lightning.Trainer:
        config = self._get(self.config_init, "trainer")
        bar = [] if config["enable_progress_bar"] is False else [TrainingBar()]
        extra = [*bar, *self._callbacks, Summary()]
        config["callbacks"] = [*(config["callbacks"] or []), *extra]
        if config["logger"] is None or config["logger"] is True:
            config["logger"] = loggers(config["default_root_dir"] or ".")
        return super().instantiate_trainer(**kwargs)


def loggers(root: str) -> list[Logger]:
    """TensorBoard and CSV, both in the next `version_N` folder of root."""
    csv = CSVLogger(root, name="", flush_logs_every_n_steps=20)
    return [csv, TensorBoardLogger(root, name="", version=csv.version, default_hp_metric=False)]


def run(arguments: Sequence[str], callbacks: Sequence[lightning.Callback] = ()) -> None:
    """Trains as `arguments` say: a recipe, and any option of the Lightning CLI's `fit` that overrides it.

    Args:
        arguments: the recipe's path first; or options only.
        callbacks: more of them, for programs that run recipes.

    Raises:
        SystemExit: code 2, a mistake in the recipe or the options, which was printed on stderr.
        Stopped: a signal ended training, and its state was saved.
        CodecError: what the recipe asks for cannot be had.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # tips and advertisements
    torch.set_float32_matmul_precision("high")
    recipe = [f"--config={arguments[0]}"] if arguments and not arguments[0].startswith("-") else []
    if recipe and not Path(arguments[0]).is_file():
        print(f"codec: there is no recipe at {arguments[0]}.", file=sys.stderr)
        sys.exit(2)
    try:
        arguments = gather([*recipe, *arguments[len(recipe) :]])
    except ConfigError as error:
        print(f"codec: {error}", file=sys.stderr)
        sys.exit(2)
    # Lightning suspects a mistake when a program that has a command line of its own hands it arguments.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    # The averaged copy of the network is meant to be in evaluation mode.
    warnings.filterwarnings("ignore", message="Found .* in eval mode")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    # Validation figures are means over the processes before they are logged.
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
    try:
        RecipeCLI(["fit", *arguments], callbacks)
    except MisconfigurationException as error:
        raise ConfigError(f"The trainer cannot run as the recipe says: {error}") from error
    except (ValueError, TypeError) as error:
        # The parser wraps what our classes say of their values in pages of what it was given.
        said = next((cause for cause in chain(error) if isinstance(cause, CodecError)), None)
        if said is None:
            raise
        raise said from None
