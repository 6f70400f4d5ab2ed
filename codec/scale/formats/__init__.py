"""Files of a token dataset: Parquet, tar in WebDataset's layout, and a memory-mapped stream of codes."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from codec.scale.encoding import Row


class Format(str, Enum):
    """How the shards are stored."""

    parquet = "parquet"
    tar = "tar"
    npy = "npy"


class ShardWriter(Protocol):
    """Takes the rows of a shard in order; what it writes depends on them alone."""

    def write(self, row: Row) -> None: ...

    def close(self) -> None:
        """Completes the files; without it they are worth nothing."""
        ...


def suffixes(kind: Format) -> tuple[str, ...]:
    """Of the files that a shard has."""
    return (".npy", ".jsonl") if kind is Format.npy else (f".{kind.value}",)
