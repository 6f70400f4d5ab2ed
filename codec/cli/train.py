"""`codec train`: a recipe, run by the Lightning CLI."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from codec.cli.report import missing_extra


def train(
    context: typer.Context,
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", exists=True, dir_okay=False, help="A YAML file, as in recipes/."),
    ],
) -> None:
    """Train a model as a recipe says.

    Any key of the recipe can be overridden by its path, and every option of Lightning's trainer works:

    codec train recipes/speech_16k.yaml --data.root CORPUS --trainer.max_steps 20000

    To see all keys with their values and nothing else: codec train RECIPE --print_config
    """
    try:
        from codec.training.run import run
    except ImportError as error:
        if (error.name or "").startswith("codec"):
            raise
        raise missing_extra("train", error) from error
    # Lightning would remark that our arguments stand on the command line too, which they should.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    run([str(recipe), *context.args])
