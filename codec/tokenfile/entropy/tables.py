"""Tables of the entropy coder: the integer weights of its network, for the codes of one model."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from codec.errors import ConfigError

# Activations are in -LIMIT..LIMIT: with weights of 8 bits, sums of up to 512 products stay below 2^24, where
# float32 holds every whole number, so that any matrix product, in any order, on any machine, is exact.
LIMIT = 255
EXACT = 1 << 24
MAX_CODEBOOK_SIZE = 4096
ID_BYTES = 4
_FACTS = "facts"
_LAYERS = ("hidden", "inner", "output")
_MAX_FILE_BYTES = 1 << 26
_VERSION = 1
# What NumPy, zipfile, zlib and json raise for bytes that are not theirs, or their children.
_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of every stage: y = (x @ weight + bias) >> shift, rounded down.

    weight: int8 [stages, inputs, outputs]; bias: int32 and shift: uint8, both [stages, outputs].
    """

    weight: np.ndarray
    bias: np.ndarray
    shift: np.ndarray

    def check(self, stages: int, inputs: int, outputs: int) -> None:
        """Raise ConfigError unless the arrays have these sizes and every sum stays exact."""
        _check("weight", self.weight, np.int8, (stages, inputs, outputs))
        _check("bias", self.bias, np.int32, (stages, outputs))
        _check("shift", self.shift, np.uint8, (stages, outputs))
        highest = LIMIT * np.abs(self.weight.astype(np.int64)).sum(axis=1) + np.abs(
            self.bias.astype(np.int64)
        )
        if highest.max(initial=0) >= EXACT or self.shift.max(initial=0) > 23:
            raise ConfigError("entropy tables hold weights whose sums are not exact")


@dataclass(frozen=True, eq=False)
class Tables:
    """What predicts the codes of one model's weights (what is computed with it: FORMAT.md, Entropy coding).

    model, weights_hash: whose codes they are. codebook_sizes: of every stage, at most 4096 each.
    spans: frames that each window into the past is long, powers of two; the first window ends at the frame
        before this one, and each next window before the last.
    embedding: int8 [stages, largest codebook, width].
    hidden, inner, output: `1 + len(spans)` times width inputs, and the largest codebook's size outputs.
    Raises ConfigError when the parts do not fit each other.
    """

    model: str
    weights_hash: str
    codebook_sizes: tuple[int, ...]
    spans: tuple[int, ...]
    embedding: np.ndarray
    hidden: Layer
    inner: Layer
    output: Layer
    about: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = self.codebook_sizes
        if not 1 <= len(sizes) <= 64 or not all(2 <= size <= MAX_CODEBOOK_SIZE for size in sizes):
            raise ConfigError(
                f"entropy tables are for 1 to 64 codebooks of 2 to {MAX_CODEBOOK_SIZE} entries each"
            )
        if not 1 <= len(self.spans) <= 8 or not all(span in (1, 2, 4, 8, 16, 32, 64) for span in self.spans):
            raise ConfigError("entropy tables need 1 to 8 spans, powers of two up to 64")
        if self.embedding.ndim != 3 or self.hidden.weight.ndim != 3 or self.inner.weight.ndim != 3:
            raise ConfigError("entropy tables hold arrays of the wrong shape")
        stages, width = len(sizes), self.embedding.shape[2]
        between, inner = self.hidden.weight.shape[2], self.inner.weight.shape[2]
        _check("embedding", self.embedding, np.int8, (stages, max(sizes), width))
        self.hidden.check(stages, (1 + len(self.spans)) * width, between)
        self.inner.check(stages, between, inner)
        self.output.check(stages, inner, max(sizes))

    @cached_property
    def id(self) -> str:
        """8 hex digits of the SHA-256 of all that decides bytes; token files name their tables so."""
        digest = hashlib.sha256(json.dumps(self._facts(), sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            digest.update(f"{name} {array.dtype.newbyteorder('<').str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()[: 2 * ID_BYTES]

    def coded(self, codebook_sizes: Sequence[int]) -> int | None:
        """How many of a file's codebooks these tables code; None when they are for other codes.

        The last codebook of a file may be smaller than the model's own, and is then packed plainly.
        """
        sizes = tuple(codebook_sizes)
        own = self.codebook_sizes[: len(sizes)]
        if sizes == own:
            return len(sizes)
        smaller = len(sizes) == len(own) and sizes[:-1] == own[:-1] and sizes[-1] < own[-1]
        return len(sizes) - 1 if smaller else None

    def save(self, file: BinaryIO) -> None:
        """Write the tables: a .npz archive of integer arrays, and facts as JSON in bytes."""
        facts = json.dumps({**self._facts(), "id": self.id, "about": self.about}, sort_keys=True)
        text = np.frombuffer(facts.encode(), dtype=np.uint8)
        np.savez_compressed(file, **{_FACTS: text}, **self._arrays())  # type: ignore[arg-type]

    def _facts(self) -> dict[str, object]:
        return {
            "version": _VERSION,
            "model": self.model,
            "weights_hash": self.weights_hash,
            "codebook_sizes": list(self.codebook_sizes),
            "spans": list(self.spans),
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"embedding": self.embedding}
        for name in _LAYERS:
            layer: Layer = getattr(self, name)
            arrays |= {
                f"{name}.weight": layer.weight,
                f"{name}.bias": layer.bias,
                f"{name}.shift": layer.shift,
            }
        return arrays


def load(path: Path) -> Tables:
    """The tables in a file; raises ConfigError when it holds none, or is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MAX_FILE_BYTES:
                raise ConfigError(f"{path} is too large for entropy tables")
        return _parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except _DAMAGE as error:
        raise ConfigError(f"{path} holds no entropy tables, or is damaged: {error}") from None


def facts_of(path: Path) -> dict[str, object]:
    """Which tables a file says it holds (id, model, weights_hash), unchecked; raises ConfigError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            facts: dict[str, object] = json.loads(archive[_FACTS].tobytes())
            return facts
    except (OSError, *_DAMAGE) as error:
        raise ConfigError(f"{path} holds no entropy tables, or is damaged: {error}") from None


def _parse(data: bytes) -> Tables:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        facts = json.loads(archive[_FACTS].tobytes())
        if facts["version"] != _VERSION:
            raise ValueError(f"they are of version {facts['version']}")
        layers = {
            name: Layer(*(archive[f"{name}.{part}"] for part in ("weight", "bias", "shift")))
            for name in _LAYERS
        }
        tables = Tables(
            model=str(facts["model"]),
            weights_hash=str(facts["weights_hash"]),
            codebook_sizes=tuple(int(size) for size in facts["codebook_sizes"]),
            spans=tuple(int(span) for span in facts["spans"]),
            embedding=archive["embedding"],
            about={str(key): str(value) for key, value in facts["about"].items()},
            **layers,
        )
    if tables.id != facts["id"]:
        raise ValueError("their hash is wrong")
    return tables


def _check(name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ConfigError(f"entropy tables hold a {name} {array.dtype} {array.shape}, not {dtype} {shape}")
