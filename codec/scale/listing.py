"""From an input on the command line to a list of items: folders, globs, manifests, tar shards, URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

from codec.containers import AUDIO_SUFFIXES
from codec.errors import AudioError
from codec.scale import manifests, tars
from codec.scale.items import Item, with_unique_ids

# An error of the listing keeps its place among the items, to be recorded like any other.


def list_items(inputs: Sequence[str]) -> list[Item]:
    """The recordings that inputs mean, in an order that depends on their names alone.

    Each input is a folder, a pattern, a recording, a manifest (`.csv`, `.jsonl`), a tar archive, a URL that
    fsspec opens, or a text file (`.txt`, `.lst`) with one path or URL a line.

    Raises:
        AudioError: an input does not exist or cannot be read, or there is no recording at all.
    """
    items = with_unique_ids(item for text in inputs for item in _expand(text))
    if not items:
        raise AudioError(f"There is no recording in {' '.join(inputs)}: check the path.")
    return items


def is_url(text: str) -> bool:
    """Whether this is an address for fsspec, and not a path."""
    return "://" in text


def _expand(text: str) -> Iterator[Item]:
    if is_url(text):
        yield _url(text, text)
    elif os.path.isdir(text):
        yield from _folder(text)
    elif os.path.exists(text):
        yield from _file(text, os.path.basename(text))
    elif glob.has_magic(text):
        matches = sorted(path for path in glob.glob(text, recursive=True) if os.path.isfile(path))
        if not matches:
            raise AudioError(f"No file matches {text}: check the pattern.")
        fixed = text[: next(i for i, c in enumerate(text) if c in "*?[")]
        root = os.path.dirname(fixed)
        for path in matches:
            yield from _file(path, os.path.relpath(path, root or "."))
    else:
        raise AudioError(f"{text} does not exist: check the path.")


def _folder(root: str) -> Iterator[Item]:
    """Recordings and tar archives below a folder, by their paths; hidden ones are neither."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [
            os.path.relpath(os.path.join(folder, name), root)
            for name in names
            if not name.startswith(".") and _suffix(name) in AUDIO_SUFFIXES | {".tar"}
        ]
    for inside in sorted(found):
        yield from _file(os.path.join(root, inside), inside)


def _file(path: str, inside: str) -> Iterator[Item]:
    suffix = _suffix(path)
    if suffix == ".tar":
        yield from tars.read(path, AUDIO_SUFFIXES)
    elif suffix in (".csv", ".jsonl"):
        yield from _manifest(path)
    elif suffix in (".txt", ".lst"):
        for line in manifests.lines(path):
            yield _url(line, line) if is_url(line) else _recording(_beside(path, line), line)
    else:
        yield _recording(path, inside)


def _recording(path: str, inside: str, columns: tuple[tuple[str, str], ...] = ()) -> Item:
    speaker = os.path.dirname(inside)
    if speaker and not columns:
        columns = (("speaker", speaker),)
    try:
        size, error = os.stat(path).st_size, ""
    except (OSError, ValueError):
        size, error = 0, f"{path} does not exist."
    return Item(
        os.path.splitext(inside)[0], path, os.path.abspath(path), size=size, columns=columns, error=error
    )


def _url(url: str, name: str, columns: tuple[tuple[str, str], ...] = ()) -> Item:
    inside = name.split("://", 1)[1].split("?", 1)[0]
    return Item(os.path.splitext(inside)[0], url, url, columns=columns)


def _manifest(path: str) -> Iterator[Item]:
    for row in manifests.read(path):
        if is_url(row.path):
            item = _url(row.path, row.path, row.columns)
        else:
            item = _recording(_beside(path, row.path), row.path, row.columns)
        name = row.id or (f"{item.id}@{row.start:g}" if row.start else item.id)
        yield Item(
            name,
            item.path,
            item.source,
            size=item.size,
            start=row.start,
            duration=row.duration,
            columns=item.columns,
            error=item.error,
        )


def _beside(manifest: str, path: str) -> str:
    return os.path.join(os.path.dirname(manifest), path)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
