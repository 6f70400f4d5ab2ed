"""Codes of a dataset that `codec tokenize` has made, at random: a few frames of any recording."""

from __future__ import annotations

import io
import json
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from codec.errors import ConfigError
from codec.tokens import Codes, Tokens

# Row groups of Parquet that are kept, each of about 8 MB.
_GROUPS = 8


@dataclass(frozen=True)
class Recording:
    """A recording of a dataset: its columns by name, and the shape `[channels, codebooks, frames]`."""

    columns: dict[str, Any]
    shape: tuple[int, int, int]


class TokenStore(ABC):
    """All recordings of a dataset, in order; `open_store` finds the right one. It can be pickled."""

    def __init__(self, folder: str, card: dict[str, Any], recordings: Sequence[Recording]) -> None:
        self.folder, self.card, self.recordings = folder, card, recordings

    def __len__(self) -> int:
        return len(self.recordings)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return tuple(self.card["codebook_sizes"])

    @abstractmethod
    def codes(self, index: int, first: int = 0, last: int | None = None) -> Codes:
        """Codes uint16 `[channels, codebooks, frames]` of a recording's frames from first to last."""

    def tokens(self, index: int) -> Tokens:
        """A whole recording, ready for `Codec.decode`."""
        columns = self.recordings[index].columns
        return Tokens(
            codes=self.codes(index),
            codebook_sizes=self.codebook_sizes,
            frame_rate=Fraction(self.card["frame_rate"]),
            sample_rate=columns["sample_rate"],
            n_samples=columns["n_samples"],
            model=self.card["model"],
            weights_hash=self.card["weights_hash"],
        )


def open_store(folder: str | os.PathLike[str]) -> TokenStore:
    """The dataset in a folder; raises ConfigError when there is none, it is incomplete or damaged."""
    path = os.fspath(folder)
    try:
        with open(os.path.join(path, "dataset.json"), encoding="utf-8") as file:
            card = json.load(file)
        kinds: dict[str, Callable[[str, dict[str, Any]], TokenStore]] = {
            "parquet": _ParquetStore,
            "tar": _TarStore,
            "npy": _NpyStore,
        }
        return kinds[card["format"]](path, card)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} holds no complete dataset: codec tokenize makes one.") from error
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        raise ConfigError(f"The dataset in {path} is damaged ({error}).") from error
    except ImportError as error:
        raise ConfigError('pyarrow is not installed: pip install "codec[scale]" brings it.') from error


class _NpyStore(TokenStore):
    """Arrays mapped into memory: nothing is read but what is asked for."""

    def __init__(self, folder: str, card: dict[str, Any]) -> None:
        self._places: list[tuple[str, int]] = []
        recordings = []
        for name in card["files"]:
            if name.endswith(".jsonl"):
                array = os.path.join(folder, f"{name.removesuffix('.jsonl')}.npy")
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    for line in file:
                        columns = json.loads(line)
                        self._places.append((array, columns.pop("first")))
                        recordings.append(_recording(columns))
        super().__init__(folder, card, recordings)

    def codes(self, index: int, first: int = 0, last: int | None = None) -> Codes:
        path, begin = self._places[index]
        channels, codebooks, frames = self.recordings[index].shape
        own = _mapped(path)[begin : begin + channels * frames].reshape(channels, frames, codebooks)
        return np.ascontiguousarray(own[:, first:last].transpose(0, 2, 1))


class _ParquetStore(TokenStore):
    """Row groups, the last few of which are kept: fast in order, slower at random than npy."""

    def __init__(self, folder: str, card: dict[str, Any]) -> None:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        self._places: list[tuple[str, int, int]] = []
        recordings = []
        for name in card["files"]:
            path = os.path.join(folder, name)
            with pq.ParquetFile(path) as file:
                columns = [column for column in file.schema_arrow.names if column != "codes"]
                for group in range(file.num_row_groups):
                    for row, values in enumerate(file.read_row_group(group, columns).to_pylist()):
                        self._places.append((path, group, row))
                        recordings.append(_recording(values))
        super().__init__(folder, card, recordings)

    def codes(self, index: int, first: int = 0, last: int | None = None) -> Codes:
        path, group, row = self._places[index]
        values, ends = _row_group(path, group)
        whole = values[ends[row] : ends[row + 1]].reshape(self.recordings[index].shape)
        return whole[:, :, first:last].copy()


class _TarStore(TokenStore):
    """Members of archives, found once and then sought."""

    def __init__(self, folder: str, card: dict[str, Any]) -> None:
        self._places: list[tuple[str, int, int]] = []
        recordings = []
        for name in card["files"]:
            path = os.path.join(folder, name)
            with tarfile.open(path, "r:") as archive:
                for entry in archive:
                    if entry.name.endswith(".npy"):
                        self._places.append((path, entry.offset_data, entry.size))
                    elif (file := archive.extractfile(entry)) is not None:
                        recordings.append(_recording(json.load(file)))
        super().__init__(folder, card, recordings)

    def codes(self, index: int, first: int = 0, last: int | None = None) -> Codes:
        path, offset, size = self._places[index]
        with open(path, "rb") as file:
            file.seek(offset)
            whole: Codes = np.load(io.BytesIO(file.read(size)), allow_pickle=False)
        return whole[:, :, first:last].copy()


def _recording(columns: dict[str, Any]) -> Recording:
    channels, codebooks, frames = columns.pop("shape")
    return Recording(columns, (channels, codebooks, frames))


# Each process opens the files for itself, and a forked or spawned one again.


@lru_cache(maxsize=256)
def _mapped(path: str) -> Codes:
    mapped: Codes = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


@lru_cache(maxsize=_GROUPS)
def _row_group(path: str, group: int) -> tuple[Codes, np.ndarray]:
    """All codes of a row group, and where each row's begin, with the end."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        column = file.read_row_group(group, ["codes"]).column(0).combine_chunks()
    return column.values.to_numpy(), column.offsets.to_numpy()
