"""Lists of recordings: CSV and JSONL with further columns, and plain lists of one path or URL a line.

Columns: `path` (relative to the manifest, or a URL), `id`, `start` and `duration` in seconds (empty: 0, and
to the end). All others, such as `speaker` and `text`, are carried over as text.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from codec.errors import AudioError
from codec.scale.items import OWN_COLUMNS


@dataclass(frozen=True)
class Row:
    """One line of a manifest; the stretch in seconds."""

    id: str
    path: str
    start: float
    duration: float | None
    columns: tuple[tuple[str, str], ...]


def read(manifest: str) -> Iterator[Row]:
    """The lines of a manifest, checked; raises AudioError, which names the line and the column."""
    rows = _csv(manifest) if manifest.lower().endswith(".csv") else _jsonl(manifest)
    for line, values in rows:
        yield _row(f"{manifest}, line {line}", values)


def lines(path: str) -> Iterator[str]:
    """The lines of a plain list that are not empty; raises AudioError when it cannot be read."""
    for _, text in _text(path):
        if text.strip():
            yield text.strip()


def _text(path: str) -> Iterator[tuple[int, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield from enumerate(file, 1)
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise AudioError(f"{path} is not text in UTF-8.") from error


def _csv(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader((text for _, text in _text(path)), strict=True)
    try:
        if "path" not in (reader.fieldnames or ()):
            raise AudioError(f"{path}: its first line must name the columns, and 'path' is not among them.")
        for values in reader:
            if None in values:
                raise AudioError(f"{path}, line {reader.line_num}: it has more values than columns.")
            yield reader.line_num, dict(values)
    except csv.Error as error:
        raise AudioError(f"{path}, line {reader.line_num + 1}: this is not valid CSV ({error}).") from error


def _jsonl(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in _text(path):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise AudioError(f"{path}, line {number}: this is not JSON; write one object a line.") from error
        if not isinstance(values, dict):
            raise AudioError(f"{path}, line {number}: this is not a JSON object with a 'path'.")
        yield number, values


def _row(where: str, values: dict[str, Any]) -> Row:
    name = values.get("path")
    if not isinstance(name, str) or not name or "\0" in name:
        raise AudioError(f"{where}, column 'path': the name of a recording is needed, not {name!r}.")
    return Row(
        id=_plain(values.get("id")),
        path=name,
        start=_seconds(where, "start", values.get("start")) or 0.0,
        duration=_seconds(where, "duration", values.get("duration")),
        columns=carried(values),
    )


def carried(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a row or a JSON file says beyond the dataset's own columns, as text, by name."""
    return tuple((key, _plain(values[key])) for key in sorted(values) if key not in OWN_COLUMNS)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    # Half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    return text.encode("utf-8", "replace").decode()


def _seconds(where: str, column: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (column == "duration" and number == 0):
        raise AudioError(f"{where}, column '{column}': seconds are needed, like 2.5, and not {value!r}.")
    return number
