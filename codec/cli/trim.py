"""`codec trim`: a lower bitrate of a token file, by copying bytes."""

from __future__ import annotations

from typing import Annotated

import typer

from codec.cli import options
from codec.cli.rewriting import target
from codec.tokenfile import read_header
from codec.tokenfile import trim as trim_file
from codec.tokens import codebooks_for


def trim(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A token file.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The new file, or - for standard output.")],
    kbps: options.Kbps = None,
    codebooks: options.Codebooks = None,
    force: options.Force = False,
) -> None:
    """Lower the bitrate of a token file by dropping codebooks; nothing is decoded or encoded again."""
    options.one_rate(kbps, codebooks)
    if kbps is None and codebooks is None:
        raise typer.BadParameter("say how much to keep", param_hint="--kbps or --codebooks")
    with target(output, file, force) as place:
        header = read_header(file)
        trim_file(file, place, codebooks_for(kbps, codebooks, header.frame_rate, header.codebook_sizes))
