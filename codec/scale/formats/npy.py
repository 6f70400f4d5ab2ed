"""Shards as one array of codes to map into memory, for trainers of language models, and an index.

`part-N.npy` is uint16 `[frames, codebooks]`: the frames of all recordings, one channel after the other.
`part-N.jsonl` has a line a recording, which says with `first` at which row its frames begin.
"""

from __future__ import annotations

import io
import json

import numpy as np

from codec.scale.encoding import Row
from codec.scale.formats import facts
from codec.scale.formats.facts import Facts

# The header grows with the number of frames; this has room for all.
_HEADER_BYTES = 128


class NpyWriter:
    """Writes the array to `path` and the index to `index`."""

    def __init__(self, path: str, index: str, facts: Facts) -> None:
        self._facts, self._frames = facts, 0
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close
        self._index = open(index, "w", encoding="utf-8")  # noqa: SIM115
        self._file.write(_header(0, len(facts.codebook_sizes)))

    def write(self, row: Row) -> None:
        channels, _, frames = row.codes.shape
        self._file.write(row.codes.transpose(0, 2, 1).astype("<u2").tobytes())
        line = {**facts.of_row(row, self._facts), "first": self._frames}
        self._index.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._frames += channels * frames

    def close(self) -> None:
        self._file.seek(0)
        self._file.write(_header(self._frames, len(self._facts.codebook_sizes)))
        self._file.close()
        self._index.close()


def _header(frames: int, codebooks: int) -> bytes:
    """Of a `.npy` file of version 1.0, always of one size."""
    text = io.BytesIO()
    fields = {"descr": "<u2", "fortran_order": False, "shape": (frames, codebooks)}
    np.lib.format.write_array_header_1_0(text, fields)
    packed = text.getvalue()
    if len(packed) != _HEADER_BYTES:
        raise ValueError(f"a header of {len(packed)} bytes")
    return packed
