"""`codec trim`: a lower bitrate of a token file, by copying bytes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from codec.cli import options, paths
from codec.cli.report import is_broken_pipe, report
from codec.errors import CodecError, OutputError
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
    try:
        header = read_header(file)
        keep = codebooks_for(kbps, codebooks, header.frame_rate, header.codebook_sizes)
        if output == "-":
            trim_file(file, getattr(sys.stdout.buffer, "raw", sys.stdout.buffer), keep)
            return
        if (error := paths.check_target("-", output, force)) is not None:
            raise error
        try:
            trim_file(file, output, keep)
        except OutputError as error:
            raise OutputError(f"{output}: {str(error).removeprefix(output).lstrip(' :')}") from error
    except CodecError as error:
        if is_broken_pipe(error):
            raise
        report(error, file)
        raise typer.Exit(1) from error
