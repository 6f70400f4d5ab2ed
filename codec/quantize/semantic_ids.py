"""Semantic IDs: a tuple of codes for a whole clip, of which clips that are alike share a beginning.

Latents are pooled over time and quantized residually (TIGER, Rajput et al. 2023, section 3.1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import torch

from codec.errors import ConfigError
from codec.quantize.config import EuclideanConfig, ResidualConfig
from codec.quantize.residual import ResidualQuantizer

Id = tuple[int, ...]


def pooled(latents: torch.Tensor) -> torch.Tensor:
    """A vector `[2 * dim]` for the latents `[frames, dim]` of a clip: their mean and standard deviation."""
    if latents.dim() != 2 or not len(latents):
        raise ConfigError("Latents of a clip must be [frames, dim], one frame or more.")
    return torch.cat([latents.mean(0), latents.std(0, correction=0)])


class SemanticIds:
    """Maps pooled clips to IDs; fitted once, on many of them.

    Args:
        clips: pooled vectors `[n, dim]`, each dimension of which then counts alike.
        codebooks: length of an ID. size: entries of each codebook; few, so that clips share prefixes.
    """

    def __init__(self, clips: torch.Tensor, *, codebooks: int = 4, size: int = 16, seed: int = 0) -> None:
        if clips.dim() != 2 or len(clips) < size:
            raise ConfigError(f"Codebooks of {size} entries need vectors [n, dim] of {size} clips or more.")
        self.mean, scale = clips.mean(0), clips.std(0, correction=0)
        self.scale = scale.clamp(min=1e-6 * float(scale.max().clamp(min=1e-6)))
        self._quantizer = _quantizer(codebooks, size, clips.shape[1])
        self._quantizer.start(self._normal(clips), torch.Generator().manual_seed(seed))

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> SemanticIds:
        """What `tensors` gave; raises ConfigError when these are something else."""
        ids = cls.__new__(cls)
        try:
            ids.mean, ids.scale = tensors["mean"], tensors["scale"]
            own = {name: value for name, value in tensors.items() if name.startswith("stages.")}
            books = [value for name, value in own.items() if name.endswith(".codebook")]
            ids._quantizer = _quantizer(len(books), len(books[0]), len(ids.mean))
            ids._quantizer.load_state_dict(own)
        except (KeyError, IndexError, TypeError, RuntimeError) as error:
            raise ConfigError("These tensors are no codebooks of semantic IDs.") from error
        return ids

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that `of` depends on, by name, to be stored."""
        return {"mean": self.mean, "scale": self.scale, **self._quantizer.state_dict()}

    def of(self, clips: torch.Tensor) -> list[Id]:
        """The IDs of pooled vectors `[n, dim]`."""
        codes = self._quantizer.encode(self._normal(clips)).codes[0].T
        return [tuple(row) for row in codes.tolist()]

    def similarity(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Cosine similarities `[n, m]` of pooled vectors `[n, dim]` and `[m, dim]`, normalised as for IDs."""
        rows = [torch.nn.functional.normalize((x - self.mean) / self.scale, dim=1) for x in (a, b)]
        return rows[0] @ rows[1].T

    def _normal(self, clips: torch.Tensor) -> torch.Tensor:
        return ((clips - self.mean) / self.scale).T[None]


def _quantizer(codebooks: int, size: int, dim: int) -> ResidualQuantizer:
    config = ResidualConfig(
        n_codebooks=codebooks, codebook_size=size, lookup=EuclideanConfig(learning="frozen"), dropout=0.0
    )
    return ResidualQuantizer(config, dim).eval()


class PrefixIndex:
    """Finds clips by the beginnings of their IDs: those that share the longest one come first."""

    def __init__(self) -> None:
        self._found: defaultdict[Id, list[Hashable]] = defaultdict(list)

    def add(self, name: Hashable, clip: Id) -> None:
        """Adds a clip under any name."""
        for length in range(len(clip) + 1):
            self._found[clip[:length]].append(name)

    def nearest(self, clip: Id, count: int) -> list[tuple[Hashable, int]]:
        """At most `count` clips with the length of the prefix that they share, longest first."""
        seen: dict[Hashable, int] = {}
        for length in range(len(clip), -1, -1):
            for name in self._found.get(clip[:length], ()):
                seen.setdefault(name, length)
                if len(seen) == count:
                    return list(seen.items())
        return list(seen.items())


def shared_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many codes two IDs have in common from the start."""
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length


def similarity_by_prefix(ids: Sequence[Id], similarity: np.ndarray) -> list[tuple[int, float, int]]:
    """For each length of the shared prefix: (length, mean similarity, pairs), from similarities `[n, n]`."""
    groups: defaultdict[int, list[float]] = defaultdict(list)
    for i, j in _pairs(len(ids)):
        groups[shared_prefix(ids[i], ids[j])].append(float(similarity[i, j]))
    return [(length, float(np.mean(values)), len(values)) for length, values in sorted(groups.items())]


def _pairs(n: int) -> Iterable[tuple[int, int]]:
    return ((i, j) for i in range(n) for j in range(i))
