"""`codec cut`: a stretch of a token file, by copying bytes."""

from __future__ import annotations

from typing import Annotated

import typer

from codec.cli import options
from codec.cli.rewriting import opened_input, target
from codec.tokenfile import cut_file


def cut(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A token file, or - for a pipe.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The new file, or - for standard output.")],
    start: Annotated[float | None, typer.Option(min=0, help="Keep from this second on.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Keep up to this second.")] = None,
    force: options.Force = False,
) -> None:
    """Keep a stretch of a token file, exact to the sample; whole pages are copied, nothing is decoded."""
    if start is None and end is None:
        raise typer.BadParameter("say what to keep", param_hint="--start or --end")
    with target(output, file, force) as place:
        cut_file(opened_input(file), place, start, end)
