"""What the commands that make token files of token files share: where they write, and how they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import typer

from codec.cli import paths
from codec.cli.report import is_broken_pipe, report
from codec.errors import CodecError, OutputError


@contextmanager
def target(output: str, source: str, force: bool) -> Iterator[str | BinaryIO]:
    """Where to write: a path, or standard output for -. Errors of the body are reported and end the command.

    source: what their sentence begins with, or "" where it names a file itself.
    """
    try:
        if output == "-":
            yield getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
            return
        if (error := paths.check_target("-", output, force)) is not None:
            raise error
        try:
            yield output
        except OutputError as error:
            raise OutputError(f"{output}: {str(error).removeprefix(output).lstrip(' :')}") from error
    except CodecError as error:
        if is_broken_pipe(error):
            raise
        report(error, source)
        raise typer.Exit(1) from error


def opened_input(name: str) -> str | BinaryIO:
    """A path, or standard input for -."""
    return sys.stdin.buffer if name == "-" else name
