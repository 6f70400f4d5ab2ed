"""Residual vector quantization in numpy: the search of `codec.quantize`, and how safe its finding is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codec.tokens import Codes


@dataclass(frozen=True, eq=False)
class Codebook:
    """One stage, in float32 or float64: its code for x is the nearest key to x, or to its features.

    values: what the codes stand for, `[size, dim]`.
    keys: what is compared, `[size, inner]`; the values themselves for a search by Euclidean distance.
    weight, bias: features are `weight x + bias`, of length 1; `[inner, dim]` and `[inner]`, None without.
    """

    values: np.ndarray
    keys: np.ndarray
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None

    def astype(self, dtype: type) -> Codebook:
        """The same in another type."""
        values: np.ndarray = self.values.astype(dtype)
        return Codebook(
            values=values,
            keys=values if self.keys is self.values else self.keys.astype(dtype),
            weight=None if self.weight is None else self.weight.astype(dtype),
            bias=None if self.bias is None else self.bias.astype(dtype),
        )

    def match(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes `[n]` of x `[n, dim]`, and how far each x may move before it gets another (a lower bound).

        As `codec.quantize.lookup.match` and `codec.quantize.cosine`, where it is derived.
        """
        scale: np.ndarray | float = 1.0
        if self.weight is not None:
            x = x @ self.weight.T + self.bias
            length = np.linalg.norm(x, axis=1)
            x = x / np.maximum(length, 1e-12)[:, None]
            scale = length / self._steepest
        scores = x @ self._columns
        scores -= self._halves
        rows = np.arange(len(x))
        codes = scores.argmax(1)
        best = scores[rows, codes]
        scores[rows, codes] = -np.inf
        second = scores.argmax(1)
        runner_up = scores[rows, second]
        scores[rows, second] = -np.inf
        third = scores.max(1, initial=-np.inf)
        tiny = np.finfo(x.dtype).tiny
        apart = _lengths(self.keys[codes] - self.keys[second])
        gap = np.where(apart > 0, (best - runner_up) / np.maximum(apart, tiny), np.inf)
        gap = np.minimum(gap, (best - third) / np.maximum(self._reach[codes], tiny))
        return codes, gap * scale

    @cached_property
    def _columns(self) -> np.ndarray:
        return self.keys.T

    @cached_property
    def _halves(self) -> np.ndarray:
        return np.square(self.keys).sum(1) * self.keys.dtype.type(0.5)

    @cached_property
    def _reach(self) -> np.ndarray:
        """For each code how far another can be from it, at most."""
        norms = _lengths(self.keys)
        return norms + norms.max()

    @cached_property
    def _steepest(self) -> np.ndarray:
        """What a step of length 1 in x is in the features, at most."""
        assert self.weight is not None
        return np.linalg.norm(self.weight.astype(np.float64), 2).astype(self.weight.dtype)


def encode(stages: Sequence[Codebook], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes int64 `[n, codebooks]` of latents `[n, dim]`, and by how much each may move, `[n]`.

    SoundStream (Zeghidour et al. 2021), algorithm 1.
    """
    gap = np.full(len(x), np.inf, x.dtype)
    codes = np.zeros((len(x), len(stages)), np.int64)
    residual = x
    for k, stage in enumerate(stages):
        codes[:, k], own = stage.match(residual)
        residual = residual - stage.values[codes[:, k]]
        gap = np.minimum(gap, own)
    return codes, gap


def decode(tables: Sequence[np.ndarray], codes: Codes) -> np.ndarray:
    """Latents float32 `[batch, dim, frames]` of codes `[batch, codebooks, frames]`.

    tables: what the codes stand for, `[size, dim]` each; in any type that float32 holds, to be widened after
    the choice and not before.
    """
    total = tables[0][codes[:, 0]].astype(np.float32)
    for k in range(1, codes.shape[1]):
        total += tables[k][codes[:, k]]
    return np.ascontiguousarray(total.transpose(0, 2, 1))


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
