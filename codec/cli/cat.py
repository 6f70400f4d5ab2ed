"""`codec cat`: token files one after the other as one, without a model."""

from __future__ import annotations

from typing import Annotated

import typer

from codec import shipped
from codec.cli import options
from codec.cli.rewriting import opened_input, target
from codec.tokenfile import cat as join_files
from codec.tokenfile import tables_beside


def cat(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Token files in their order; one may be - for a pipe.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="The new file, or - for standard output.")],
    model: Annotated[
        str | None,
        typer.Option(help="The model's path, for the tables of entropy coded files if it is not shipped."),
    ] = None,
    force: options.Force = False,
) -> None:
    """Join token files of one model and bitrate; the result is as long as all together, to the sample.

    Each recording begins within half a frame (10 ms for speech-16k) of the end of the one before it.
    """
    if files.count("-") > 1:
        raise typer.BadParameter("standard input (-) can be only one of the inputs")
    with target(output, files[0] if len(files) == 1 else "", force) as place:
        tables = None if model is None else tables_beside(shipped.resolve(model))
        join_files([opened_input(name) for name in files], place, tables=tables)
