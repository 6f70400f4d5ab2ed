"""`codec import`: a checkpoint of another codec as a model of this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from codec.cli import options


def import_(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="A .th, .pth or .safetensors file, a Hugging Face folder, or hf:owner/name.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the model."),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="Identifies the model in token files, e.g. encodec_24khz."),
    ] = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Make a model of a checkpoint of EnCodec, DAC, SNAC or Mimi.

    The folder then holds NAME.safetensors and NAME.json, and every command takes it as its --model. Nothing
    in a checkpoint is executed. codec.load and --model also take the checkpoint itself, with equal results.
    """
    from codec.interop.importing import import_checkpoint

    made = import_checkpoint(checkpoint, output, name=name, force=force)
    if as_json:
        print(json.dumps({"output": str(made.weights), **made.facts}))
        return
    facts = made.facts
    how = "streams" if facts["streams"] else "whole recordings"
    print(
        f"{made.weights}: {facts['name']}, {facts['sample_rate']:,} Hz, {facts['codebooks']} codebooks, "
        f"{facts['frame_rate']:g} frames/s, {facts['parameters'] / 1e6:.1f} M parameters, {how}"
    )
