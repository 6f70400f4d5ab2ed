"""Shards as tar archives in WebDataset's layout: `<key>.npy` with the codes, and `<key>.json`."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np

from codec.scale.encoding import Row
from codec.scale.formats import facts
from codec.scale.formats.facts import Facts


class TarWriter:
    """Writes `path`; keys are the shard's number and the row's, since names of rows may hold anything."""

    def __init__(self, path: str, facts: Facts, number: int) -> None:
        self._facts, self._number, self._count = facts, number, 0
        self._archive = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def write(self, row: Row) -> None:
        key = f"{self._number:05d}_{self._count:06d}"
        self._count += 1
        packed = io.BytesIO()
        np.lib.format.write_array(packed, row.codes, version=(1, 0), allow_pickle=False)
        self._add(f"{key}.npy", packed.getvalue())
        self._add(f"{key}.json", json.dumps(facts.of_row(row, self._facts), ensure_ascii=False).encode())

    def close(self) -> None:
        self._archive.close()

    def _add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)  # of time 0 and nobody's, on any machine
        entry.size = len(content)
        self._archive.addfile(entry, io.BytesIO(content))
