"""What a dataset says of itself, and what a row says besides its codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codec.scale.encoding import Row


@dataclass(frozen=True)
class Facts:
    """Of a whole dataset.

    columns: names of those that were carried over from the input.
    kbps: per channel. frame_rate: frames per second, as "50/1".
    """

    model: str
    weights_hash: str
    codebook_sizes: tuple[int, ...]
    frame_rate: str
    kbps: float
    columns: tuple[str, ...]


def of_row(row: Row, facts: Facts) -> dict[str, Any]:
    """All but the codes, as plain values in the order of the columns."""
    own = dict(row.item.columns)
    return {
        "id": row.item.id,
        "path": row.item.path,
        **{name: own.get(name, "") for name in facts.columns},
        "sample_rate": row.sample_rate,
        "n_samples": row.n_samples,
        "shape": list(row.codes.shape),
        "model": facts.model,
        "weights_hash": facts.weights_hash,
        "kbps": facts.kbps,
    }
