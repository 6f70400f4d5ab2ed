"""Shards as Parquet, for datasets, pyarrow, DuckDB and Ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from codec.scale.encoding import Row
from codec.scale.formats import facts
from codec.scale.formats.facts import Facts

# Codes and rows of a row group: what a reader loads to get at one row, and what is held here.
_GROUP_CODES = 1 << 22
_GROUP_ROWS = 1024


class ParquetWriter:
    """Writes `path`, a row group at a time. facts: of the dataset."""

    def __init__(self, path: str, facts: Facts) -> None:
        self._facts = facts
        self._schema = schema(facts)
        texts = [field.name for field in self._schema if pa.types.is_string(field.type)]
        # Nothing here may depend on the machine or the time: equal rows make equal bytes.
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=3, use_dictionary=texts, version="2.6"
        )
        self._rows: list[Row] = []
        self._codes = 0

    def write(self, row: Row) -> None:
        self._rows.append(row)
        self._codes += row.codes.size
        if self._codes >= _GROUP_CODES or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        known = [facts.of_row(row, self._facts) for row in self._rows]
        columns: dict[str, Any] = {
            field.name: pa.array([values[field.name] for values in known], field.type)
            for field in self._schema
            if field.name not in ("codes", "shape")
        }
        ends = np.cumsum([0, *(row.codes.size for row in self._rows)]).astype(np.int32)
        codes = np.concatenate([row.codes.reshape(-1) for row in self._rows])
        columns["codes"] = pa.ListArray.from_arrays(pa.array(ends), pa.array(codes))
        columns["shape"] = pa.array([list(row.codes.shape) for row in self._rows], pa.list_(pa.int32()))
        self._rows, self._codes = [], 0
        table = pa.table([columns[name] for name in self._schema.names], schema=self._schema)
        self._writer.write_table(table, row_group_size=len(table))


def schema(facts: Facts) -> pa.Schema:
    """The columns: codes are those of `[channels, codebooks, frames]`, flattened; `shape` says which."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("path", pa.string()),
            *((name, pa.string()) for name in facts.columns),
            ("sample_rate", pa.int32()),
            ("n_samples", pa.int64()),
            ("codes", pa.list_(pa.uint16())),
            ("shape", pa.list_(pa.int32())),
            ("model", pa.string()),
            ("weights_hash", pa.string()),
            ("kbps", pa.float64()),
        ]
    )
