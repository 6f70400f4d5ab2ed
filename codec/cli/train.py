"""`codec train`: a recipe, run by the Lightning CLI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from codec.cli.report import missing_extra, report


def train(
    context: typer.Context,
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE", show_default=False, help="A YAML file, as in recipes/."),
    ] = None,
    help_all: Annotated[bool, typer.Option("--help-all", help="Print every key with its meaning.")] = False,
) -> None:
    """Train a model as a recipe says; the result is ready for codec encode --model.

    Every key of a recipe is an option too, by its path. Those that matter most:

    \b
      --data.root DIR                recordings to train on, any format and rate
      --data.valid_root DIR          recordings to measure with, never trained on
      --config FILE                  a second recipe, which overrides the first one
      --trainer.max_steps N          length of the training
      --trainer.default_root_dir DIR where logs, checkpoints and the model go
      --trainer.devices N            GPUs, or processes on a CPU
      --ckpt_path last               go on from the run's newest checkpoint; or a path
      --print_config                 print all keys and their values, and stop

    Ctrl-C and SIGTERM save a checkpoint and stop; a killed run loses the steps since the last one.
    """
    try:
        from codec.training.callbacks import Stopped
        from codec.training.run import run
    except ImportError as error:
        if (error.name or "").startswith("codec"):
            raise
        raise missing_extra("train", error) from error
    if help_all:
        run(["--help"])
    if recipe is None:
        _refuse(
            "a recipe is missing, e.g. codec train recipes/speech_16k.yaml; recipes/README.md lists them."
        )
    if not recipe.is_file():
        _refuse(f"there is no recipe at {recipe}.")
    try:
        run([str(recipe), *context.args])
    except Stopped as stop:
        if stop.first:
            report(f"{stop}. To go on: the same command with --ckpt_path {stop.checkpoint}")
        raise typer.Exit(128 + stop.signal) from stop


def _refuse(text: str) -> NoReturn:
    report(text)
    raise typer.Exit(2)
