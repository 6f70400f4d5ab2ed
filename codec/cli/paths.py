"""From the inputs on a command line to pairs of a file to read and a file to write."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from codec.errors import AudioError, CodecError, OutputError


@dataclass(frozen=True)
class Job:
    """A file to read and a file to write ("-" is a pipe), or why that cannot be done."""

    source: str
    target: str
    error: CodecError | None = None


@dataclass(frozen=True)
class Found:
    """A file to read, and where below an output folder it belongs; or why there is nothing to read."""

    path: str
    inside: str
    error: CodecError | None = None


def find(inputs: Sequence[str], suffixes: Collection[str]) -> list[Found]:
    """The files that inputs (files, folders, patterns) mean; suffixes are those looked for in folders."""
    return [item for text in inputs for item in _expand(text, suffixes)]


def plan(
    inputs: Sequence[str], output: str | None, suffixes: Collection[str], new_suffix: str, force: bool
) -> list[Job]:
    """The jobs that inputs (files, folders, globs, or "-" alone) mean.

    output: None puts each output beside its input; a folder where it is one, ends with "/" or must be one.
    suffixes: of the files that are looked for in folders. new_suffix: of outputs without a name of their own.
    """
    if "-" in inputs:
        if len(inputs) > 1:
            raise typer.BadParameter("standard input (-) cannot be one of several inputs")
        if output is not None and _is_folder(output):
            raise typer.BadParameter("name the output file, not a folder", param_hint="--output")
        found = [Found("-", "-")]
    else:
        found = find(inputs, suffixes)
    into_folder = output is not None and (
        _is_folder(output) or len(found) > 1 or any(os.path.isdir(text) for text in inputs)
    )
    if into_folder and output is not None and (output == "-" or os.path.isfile(output)):
        raise typer.BadParameter(f"{output} is no folder, which several inputs need", param_hint="--output")
    taken: dict[str, str] = {}
    return [_job(item, output, into_folder, new_suffix, force, taken) for item in found]


def _job(
    item: Found, output: str | None, into_folder: bool, suffix: str, force: bool, taken: dict[str, str]
) -> Job:
    if item.error is not None:
        return Job(item.path, "", item.error)
    if output is None:
        target = "-" if item.path == "-" else str(Path(item.path).with_suffix(suffix))
    elif into_folder:
        target = str(Path(output) / Path(item.inside).with_suffix(suffix))
    else:
        target = output
    if target == "-":
        return Job(item.path, target)
    identity = os.path.realpath(target)
    if identity in taken:
        error = OutputError(f"{target} is already the output of {taken[identity]}: rename one of the two.")
        return Job(item.path, target, error)
    taken[identity] = item.path
    return Job(item.path, target, check_target(item.path, target, force))


def check_target(source: str, target: str, force: bool) -> OutputError | None:
    """Why target must not be written, if there is a reason."""
    if not os.path.isfile(target):
        return None  # devices and named pipes are there to be written to
    if source != "-" and os.path.samefile(source, target):
        return OutputError("the output would replace the input: give another name with -o.")
    return None if force else OutputError(f"{target} exists already: --force replaces it.")


def _expand(text: str, suffixes: Collection[str]) -> Iterator[Found]:
    if os.path.isdir(text):
        inside = sorted(_files_below(text, suffixes))
        yield from (Found(os.path.join(text, name), name) for name in inside)
        if not inside:
            yield Found(text, "", AudioError(f"this folder holds no {_kind(suffixes)}."))
    elif os.path.exists(text):
        yield Found(text, os.path.basename(text))
    elif glob.has_magic(text):
        matches = sorted(path for path in glob.glob(text, recursive=True) if not os.path.isdir(path))
        yield from (Found(path, os.path.basename(path)) for path in matches)
        if not matches:
            yield Found(text, "", AudioError("no file matches this pattern."))
    else:
        yield Found(text, "", AudioError("this file does not exist."))


def _files_below(folder: str, suffixes: Collection[str]) -> Iterator[str]:
    """Paths relative to folder; hidden files are not the user's recordings."""
    for where, _, names in os.walk(folder):
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                yield os.path.relpath(os.path.join(where, name), folder)


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or os.path.isdir(output)


def _kind(suffixes: Collection[str]) -> str:
    return "token files (.cdc)" if ".cdc" in suffixes else "recordings"
