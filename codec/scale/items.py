"""What there is to tokenize: one `Item` a recording, listed before anything is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

# The columns that every dataset has, and which those of a manifest do not replace.
OWN_COLUMNS = frozenset(
    ("id", "path", "sample_rate", "n_samples", "codes", "shape", "model", "weights_hash", "kbps", "first")
)


@dataclass(frozen=True)
class Item:
    """A recording, or a stretch of one.

    id: unique in the list. path: as the dataset names it.
    source: where the bytes are: an absolute path or a URL.
    offset, size: of the bytes inside of source, where it is a tar archive; else size is the file's, to plan
        with, and 0 if unknown.
    start, duration: of a stretch, in seconds; duration None goes to the end.
    columns: carried over, as (name, text).
    error: why there is nothing to read.
    """

    id: str
    path: str
    source: str
    offset: int | None = None
    size: int = 0
    start: float = 0.0
    duration: float | None = None
    columns: tuple[tuple[str, str], ...] = ()
    error: str = ""


def with_unique_ids(items: Iterable[Item]) -> list[Item]:
    """The items in order; those with an id that was there before get a number behind it."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    unique = []
    for item in items:
        name = item.id
        while name in taken:
            counts[item.id] = counts.get(item.id, 1) + 1
            name = f"{item.id}~{counts[item.id]}"
        taken.add(name)
        unique.append(item if name == item.id else replace(item, id=name))
    return unique


def column_names(items: Iterable[Item]) -> tuple[str, ...]:
    """The columns that items carry, "speaker" and "text" first: these are always there."""
    names = {name for item in items for name, _ in item.columns}
    return ("speaker", "text", *sorted(names - {"speaker", "text"}))


def digest(items: Iterable[Item]) -> str:
    """Identifies a list of items: 32 hex digits of SHA-256 of all that their rows depend on, in order."""
    found = hashlib.sha256()
    for item in items:
        value = [item.id, item.path, item.offset, item.start, item.duration, item.columns, item.error]
        found.update(json.dumps(value).encode() + b"\n")
    return found.hexdigest()[:32]


@dataclass(frozen=True)
class Shard:
    """Items that make one file of the dataset, in order."""

    number: int
    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Bytes to read, as far as they are known."""
        return sum(item.size for item in self.items)


def shards_of(items: list[Item], per_shard: int | None = None) -> list[Shard]:
    """The items in shards; which item belongs to which depends on the list alone.

    per_shard: items in each; if not given 16 to 1024, so that there are shards for many workers.
    """
    count = per_shard or min(1024, max(16, -(-len(items) // 64)))
    return [
        Shard(number, tuple(items[first : first + count]))
        for number, first in enumerate(range(0, len(items), count))
    ]
