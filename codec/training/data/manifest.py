"""Lists of recordings as CSV or JSONL, one recording or stretch of one a line.

Columns: `path` (relative to the manifest), `start` and `duration` in seconds (empty: 0, and to the end),
`split` ("train", "valid"; empty: "train"), and optionally `speaker` (empty: the file's folder) and `group`.
Other columns are free for other uses.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.errors import AudioError
from codec.training.data.clips import Clip, name_bad, probe_all


@dataclass(frozen=True)
class Row:
    """One line: `start` and `duration` in seconds, `duration` None where it goes to the end of the file."""

    line: int
    path: Path
    start: float
    duration: float | None
    split: str
    speaker: str
    group: str


def read_rows(manifest: Path) -> list[Row]:
    """All lines of a manifest, checked; `path` made absolute or relative to the current folder.

    Raises:
        AudioError: it cannot be read, or a value is missing or impossible; names the line and the column.
    """
    return [_row(manifest, line, values) for line, values in _lines(manifest)]


def read_manifest(manifest: Path) -> dict[str, list[Clip]]:
    """The clips of each split; unreadable recordings are counted, named in the log and left out.

    Raises:
        AudioError: as read_rows; or a stretch starts after the end of its recording.
    """
    rows = read_rows(manifest)
    paths = sorted({row.path for row in rows})
    sizes = dict(zip(paths, probe_all([(path, None) for path in paths]), strict=True))
    name_bad([str(path) for path in paths if sizes[path] is None])
    splits: dict[str, list[Clip]] = {}
    for row in rows:
        size = sizes[row.path]
        if size is None:
            continue
        samples, rate = size
        start = round(row.start * rate)
        if start >= samples and row.start > 0:
            raise _wrong(manifest, row.line, "start", row.start, f"{row.path} ends at {samples / rate:.3f} s")
        # Durations are often rounded up by those who write manifests.
        count = samples - start if row.duration is None else min(round(row.duration * rate), samples - start)
        if count > 0:
            splits.setdefault(row.split, []).append(
                Clip(row.path, count, rate, row.group, row.speaker, start)
            )
    return splits


def _lines(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = manifest.suffix.lower()
    if suffix not in (".csv", ".jsonl"):
        raise AudioError(f"{manifest} must be named .csv or .jsonl, which says how to read it.")
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            yield from _csv(manifest, file) if suffix == ".csv" else _jsonl(manifest, file)
    except OSError as error:
        raise AudioError(f"The manifest {manifest} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise AudioError(f"The manifest {manifest} is not text in UTF-8.") from error


def _csv(manifest: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file, strict=True)
    try:
        if "path" not in (reader.fieldnames or ()):
            raise AudioError(
                f"{manifest}, line 1: a column 'path' is missing; the first line must name the columns "
                f"(path, start, duration, split)."
            )
        for values in reader:
            if None in values:
                raise AudioError(f"{manifest}, line {reader.line_num}: more values than columns.")
            yield reader.line_num, {str(key): value for key, value in values.items()}
    except csv.Error as error:
        # The reader counts a line when it has understood it.
        raise AudioError(f"{manifest}, line {reader.line_num + 1}: not valid CSV ({error}).") from error


def _jsonl(manifest: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise AudioError(f"{manifest}, line {number}: not JSON; write one object a line.") from error
        if not isinstance(values, dict):
            raise AudioError(f"{manifest}, line {number}: not a JSON object with a 'path'.")
        yield number, values


def _row(manifest: Path, line: int, values: dict[str, Any]) -> Row:
    def text(column: str, default: str) -> str:
        value = values.get(column)
        if value is None or value == "":
            return default
        if isinstance(value, bool | list | dict):
            raise _wrong(manifest, line, column, value, "a text is needed")
        return str(value)

    def seconds(column: str) -> float | None:
        value = values.get(column)
        if value is None or value == "":
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < 0 or (column == "duration" and number == 0):
            raise _wrong(manifest, line, column, value, "seconds are needed, as a number like 2.5")
        return number

    name = text("path", "")
    if not name or "\0" in name:
        raise _wrong(manifest, line, "path", name, "the name of a recording is needed")
    path = manifest.parent / name
    return Row(
        line=line,
        path=path,
        start=seconds("start") or 0.0,
        duration=seconds("duration"),
        split=text("split", "train"),
        speaker=text("speaker", str(path.parent)),
        group=text("group", ""),
    )


def _wrong(manifest: Path, line: int, column: str, value: object, why: str) -> AudioError:
    return AudioError(f"{manifest}, line {line}, column '{column}': {value!r} is not possible: {why}.")
