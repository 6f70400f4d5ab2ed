"""The safetensors file of a model, read by numpy: where its tensors are, what they hold, and their hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.errors import ModelError

_NUMPY_TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
# The names under which the types count in the hash.
_HASHED_TYPES = {"F16": "torch.float16", "F32": "torch.float32", "F64": "torch.float64"}
_MAX_HEADER = 1 << 24


@dataclass(frozen=True)
class Place:
    """A tensor in the file: its type as safetensors names it, its shape, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    size: int


class WeightsFile:
    """A safetensors file, in memory.

    Raises:
        ModelError: it cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes = path.read_bytes()
        except OSError as error:
            raise ModelError(f"There is no model at {path}: {error.strerror}.") from error
        try:
            self._places = _places(self._bytes)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{path} is damaged or not a safetensors file: {error}.") from error

    def place(self, name: str) -> Place:
        """Where a tensor is; raises ModelError when it is not there."""
        if name not in self._places:
            raise ModelError(f"{self.path} holds no tensor {name}.")
        return self._places[name]

    def tensor(self, name: str) -> np.ndarray:
        """A tensor, read-only and in its stored type; raises ModelError."""
        place = self.place(name)
        if place.dtype not in _NUMPY_TYPES:
            raise ModelError(f"{self.path}: {name} is of type {place.dtype}, which numpy does not have.")
        dtype = np.dtype(_NUMPY_TYPES[place.dtype])
        if int(np.prod(place.shape)) * dtype.itemsize != place.size:
            raise ModelError(f"{self.path} is damaged: {name} has another size than its shape says.")
        flat = np.frombuffer(self._bytes, np.uint8, place.size, place.begin)
        return flat.view(dtype).reshape(place.shape) if place.size else np.zeros(place.shape, dtype)

    def hash(self, config: str) -> str:
        """The hash of the weights, as `codec.models.store` has it; `config` is the text of the JSON beside.

        Raises:
            ModelError: the configuration is no JSON.
        """
        try:
            stored = json.dumps(json.loads(config), sort_keys=True)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{self.path.with_suffix('.json')} is not valid JSON: {error}.") from error
        digest = hashlib.sha256(stored.encode())
        for name in sorted(self._places):
            place = self._places[name]
            dtype = _HASHED_TYPES.get(place.dtype, place.dtype)
            digest.update(f"{name} {dtype} {place.shape}\n".encode())
            digest.update(memoryview(self._bytes)[place.begin : place.begin + place.size])
        return digest.hexdigest()[:16]


def _places(content: bytes) -> dict[str, Place]:
    length = int.from_bytes(content[:8], "little")
    base = 8 + length
    if len(content) < 8 or length > _MAX_HEADER or base > len(content):
        raise ValueError("its header is cut off")
    places = {}
    for name, entry in json.loads(content[8:base]).items():
        if name == "__metadata__":
            continue
        begin, end = (int(offset) for offset in entry["data_offsets"])
        if not 0 <= begin <= end <= len(content) - base:
            raise ValueError(f"{name} is cut off")
        shape = tuple(int(size) for size in entry["shape"])
        places[name] = Place(str(entry["dtype"]), shape, base + begin, end - begin)
    return places
