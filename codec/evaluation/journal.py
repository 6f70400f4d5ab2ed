"""A file that remembers what was measured, a line a recording and system, so that a run can go on later."""

from __future__ import annotations

import hashlib
import json
import math
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from codec import __version__
from codec.errors import OutputError
from codec.evaluation.results import METRICS, Measurement

# Raise this when the meaning of a metric or of an entry changes.
_FORMAT = 1
_BEGIN = b'{"key": '
_PACKAGES = ("numpy", "torch", "librosa", "pesq", "pystoi", "visqol-python")

Entry = dict[str, Any]


class Journal:
    """Entries by key in a file of JSON lines, which only grows.

    An entry is on the disk before the next one is computed. A line that an interruption cut short is passed
    over. A context manager. Raises OutputError when the file cannot be read or written, or is something else.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = open(path, "a+b")  # noqa: SIM115 (closed on exit)
        except OSError as error:
            raise self._error(error) from None
        self._entries = self._read()

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def add(self, key: str, entry: Entry) -> None:
        line = json.dumps({"key": key, **without_nan(entry)}) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._error(error) from None
        self._entries[key] = entry

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _read(self) -> dict[str, Entry]:
        self._file.seek(0)
        found: dict[str, Entry] = {}
        data = self._file.read()
        lines = data.split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line)
                found[entry.pop("key")] = entry
            except (ValueError, TypeError, AttributeError, KeyError):
                continue
        if not found and data[: len(_BEGIN)] != _BEGIN[: len(data)]:
            self._file.close()
            raise OutputError(f"{self._path} is no journal of an evaluation: give another name.")
        if lines[-1]:
            self._file.write(b"\n")  # what was cut short must not swallow the next line
        return found

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"The journal {self._path} cannot be used: {(error.strerror or '').lower()}.")


def key(path: str, *parts: str) -> str:
    """Identifies what was measured: the recording's path, size and time, the parts, and the packages'
    versions.

    Raises OSError when there is no such file.
    """
    found = os.stat(path)
    whole = [_FORMAT, __version__, [metric.key for metric in METRICS], [_version(name) for name in _PACKAGES]]
    whole += [str(Path(path).resolve()), found.st_size, found.st_mtime_ns, *parts]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def plain(measurement: Measurement) -> Entry:
    """As values that JSON has; `of_plain` reads it again."""
    return {
        "system": measurement.system,
        "kbps": measurement.kbps,
        "file_kbps": measurement.file_kbps,
        "metrics": measurement.metrics,
        "failures": measurement.failures,
    }


def of_plain(entry: Entry) -> Measurement:
    values = {name: _number(value) for name, value in entry["metrics"].items()}
    kbps, file_kbps = (_number(entry[name]) for name in ("kbps", "file_kbps"))
    return Measurement(entry["system"], kbps, file_kbps, values, entry["failures"])


def without_nan(value: Any) -> Any:
    """Plain data with null in the place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
