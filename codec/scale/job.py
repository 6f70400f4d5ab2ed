"""What a run of `codec tokenize` is, and what its folder remembers, so that it can go on after anything.

OUT/data/part-00000.parquet ...   the dataset: whole files, renamed into place
OUT/dataset.json                  what it is; written when all shards are there
OUT/errors.jsonl                  the items without codes, and why
OUT/.state/job.json               what was asked for, to refuse to mix two jobs
OUT/.state/part-00000.json        the receipt of a shard that is done
OUT/.state/*.tmp                  of shards in work
"""

from __future__ import annotations

import glob
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from codec.errors import OutputError
from codec.scale.encoding import Rate
from codec.scale.formats import Format, suffixes
from codec.scale.formats.facts import Facts
from codec.shipped import Runtime

# Raise this when the same input would give other bytes.
_VERSION = 1
_ATTEMPTS = 3


@dataclass(frozen=True)
class ModelChoice:
    """A model as `codec.load` finds it, small enough to be sent to a worker."""

    name_or_path: str | None
    device: str
    runtime: Runtime


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs besides its shard.

    folder: of the output, absolute. items: their number; inputs: digest of their list.
    """

    folder: str
    format: Format
    model: ModelChoice
    rate: Rate
    facts: Facts
    inputs: str
    items: int
    shards: int

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for two runs to be parts of one job: not how it is computed."""
        return {
            "version": _VERSION,
            "format": self.format.value,
            "inputs": self.inputs,
            "items": self.items,
            "shards": self.shards,
            **{name: _plain(value) for name, value in asdict(self.facts).items()},
        }

    @property
    def state(self) -> str:
        return os.path.join(self.folder, ".state")

    @property
    def data(self) -> str:
        return os.path.join(self.folder, "data")

    def files(self, number: int) -> list[str]:
        """The files of a shard; the last of them is renamed into place last."""
        return [os.path.join(self.data, f"{_name(number)}{suffix}") for suffix in suffixes(self.format)]

    def temporary(self, number: int) -> list[str]:
        """Names that no other process has for the files of a shard, while they are written."""
        own = secrets.token_hex(6)
        return [
            os.path.join(self.state, f"{_name(number)}{suffix}.{own}.tmp") for suffix in suffixes(self.format)
        ]

    def receipt(self, number: int) -> str:
        return os.path.join(self.state, f"{_name(number)}.json")


@dataclass(frozen=True)
class Receipt:
    """A shard that is done: equal for equal input, whoever did it.

    seconds: of audio. frames: of codes, of all channels. bytes: of its files.
    errors: of the items without codes, in order.
    """

    number: int
    rows: int
    seconds: float
    frames: int
    bytes: tuple[int, ...]
    errors: tuple[dict[str, str], ...]


def open_folder(job: Job) -> None:
    """Makes or enters the output folder; raises OutputError when it holds another job, or is none."""
    path = os.path.join(job.state, "job.json")
    try:
        os.makedirs(job.state, exist_ok=True)
        os.makedirs(job.data, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {job.folder} cannot be made: {error.strerror}.") from error
    found = _read(path)
    if found is None:
        if os.listdir(job.data):
            raise OutputError(f"{job.data} holds files of something else: name an empty folder.")
        _write_json(job, path, job.identity)
    elif found != job.identity:
        other = [key for key in job.identity if found.get(key) != job.identity[key]]
        raise OutputError(
            f"{job.folder} holds a dataset with another {', '.join(other)}: go on with the same input and "
            f"options, or name another folder."
        )


def receipt_of(job: Job, number: int) -> Receipt | None:
    """The receipt of a shard, if it is done and its files are there."""
    found = _read(job.receipt(number))
    try:
        receipt = None if found is None else _receipt(found)
        if receipt is None or tuple(os.path.getsize(path) for path in job.files(number)) != receipt.bytes:
            return None
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return receipt


def write_receipt(job: Job, receipt: Receipt) -> None:
    _write_json(job, job.receipt(receipt.number), asdict(receipt))


def clean(job: Job, numbers: Iterable[int]) -> None:
    """Removes what processes that were killed left: of these shards, at which nobody may be at work now, and
    of small files such as the card, which whoever writes them writes again."""
    names = {_name(number) for number in numbers}
    for path in glob.glob(os.path.join(glob.escape(job.state), "*.tmp")):
        name = os.path.basename(path).split(".", 1)[0]
        if name in names or not name.startswith("part-"):
            with suppress(OSError):
                os.unlink(path)


def finish(job: Job, receipts: list[Receipt]) -> None:
    """Writes the dataset's card and its list of errors, once all shards are done."""
    sizes = job.facts.codebook_sizes
    errors = [error for receipt in receipts for error in receipt.errors]
    _write_text(
        job,
        os.path.join(job.folder, "errors.jsonl"),
        "".join(json.dumps(error, ensure_ascii=False) + "\n" for error in errors),
    )
    card = {
        "format": job.format.value,
        "files": [os.path.relpath(path, job.folder) for n in range(job.shards) for path in job.files(n)],
        "rows": sum(receipt.rows for receipt in receipts),
        "errors": len(errors),
        "hours": round(sum(receipt.seconds for receipt in receipts) / 3600, 6),
        "frames": sum(receipt.frames for receipt in receipts),
        "codes": sum(receipt.frames for receipt in receipts) * len(sizes),
        "codebooks": len(sizes),
        **{name: _plain(value) for name, value in asdict(job.facts).items()},
        "inputs": job.inputs,
    }
    _write_json(job, os.path.join(job.folder, "dataset.json"), card)


def _write_json(job: Job, path: str, value: Any) -> None:
    _write_text(job, path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _write_text(job: Job, path: str, text: str) -> None:
    """Writes a file that is there as a whole or not at all; raises OutputError."""
    for attempt in range(_ATTEMPTS):
        temporary = os.path.join(job.state, f"{os.path.basename(path)}.{secrets.token_hex(6)}.tmp")
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            return
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            # Another part of the job, which starts just now, may have taken it for a leftover.
            if not isinstance(error, FileNotFoundError) or attempt == _ATTEMPTS - 1:
                raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _receipt(found: dict[str, Any]) -> Receipt:
    return Receipt(
        number=int(found["number"]),
        rows=int(found["rows"]),
        seconds=float(found["seconds"]),
        frames=int(found["frames"]),
        bytes=tuple(found["bytes"]),
        errors=tuple(found["errors"]),
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _name(number: int) -> str:
    return f"part-{number:05d}"
