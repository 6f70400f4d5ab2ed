"""The probabilities of codes: a small causal network in whole numbers (steps and figures: FORMAT.md).

All values are whole numbers held in float32 and float64, where every sum and product below is exact; so the
order of a sum, the number of threads and the version of a library change nothing.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import isqrt

import numpy as np

from codec.tokenfile.entropy.tables import EXACT, LIMIT, Layer, Tables

# Frequencies of the codes of one context add up to this: the precision of constriction's range coder.
TOTAL = 1 << 24
# Logits count 64ths of a bit; a code that is this many bits less likely than the best has no more than
# the least probability.
_STEPS_A_BIT = 64
_BITS = 20
_RECIPROCAL_BITS = 24


class Network:
    """The tables as arrays to compute with."""

    def __init__(self, tables: Tables) -> None:
        self.sizes = tables.codebook_sizes
        self.spans = tables.spans
        self.width = tables.embedding.shape[2]
        self.embedding = tables.embedding.astype(np.float32)
        # How long ago each window begins and ends; the lengths, to divide by.
        self.borders = np.concatenate([[0], np.cumsum(tables.spans)])
        self._parts = 1 / np.asarray(tables.spans, dtype=np.float64)[:, None]
        self._layers = [_arrays(layer) for layer in (tables.hidden, tables.inner, tables.output)]
        self._mixed = min(self.sizes) < self.embedding.shape[1]

    def windows(self, prefix: np.ndarray) -> np.ndarray:
        """The mean of each window into the past, rounded down.

        prefix: float64 [..., 1 + windows, width], sums of all frames before each border, the latest first.
        """
        means: np.ndarray = (prefix[..., :-1, :] - prefix[..., 1:, :]) * self._parts
        return np.floor(means, out=means)

    def inputs(self, lower: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """What the network sees: float32 [..., (1 + windows) * width].

        lower: [..., width], this frame as the stages below know it. windows: [..., windows, width].
        """
        x = np.concatenate([lower[..., None, :], windows], axis=-2).astype(np.float32)
        np.clip(x, -LIMIT, LIMIT, out=x)
        return x.reshape(*x.shape[:-2], -1)

    def frequencies(self, x: np.ndarray, first: int, last: int) -> np.ndarray:
        """Frequencies less 1 of every code of stages first to last, float64 [last - first, rows, codes].

        x: inputs, float32 [last - first, rows, inputs]. Each row adds up to TOTAL less the number of codes.
        """
        for lowest, (weight, bias) in zip((0, -LIMIT, None), self._layers, strict=True):
            x = np.matmul(x, weight[first:last])
            x += bias[first:last]
            np.floor(x, out=x)
            if lowest is not None:
                np.clip(x, lowest, LIMIT, out=x)
        if self._mixed:
            for row, size in zip(x, self.sizes[first:last], strict=True):
                row[:, size:] = -EXACT
        return _normalised(x, np.asarray(self.sizes[first:last], dtype=np.int64)[:, None, None])


@lru_cache(maxsize=2)
def network_of(tables: Tables) -> Network:
    """The network of tables, which is kept while it is in use."""
    return Network(tables)


def _normalised(logits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    np.subtract(logits.max(axis=-1, keepdims=True), logits, out=logits)
    weights = _powers().take(logits.astype(np.int32), mode="clip")
    free = TOTAL - sizes
    reciprocals = (free << _RECIPROCAL_BITS) // weights.sum(axis=-1, keepdims=True).astype(np.int64)
    weights *= np.ldexp(reciprocals.astype(np.float64), -_RECIPROCAL_BITS)
    np.floor(weights, out=weights)
    weights[..., 0] += free[..., 0] - weights.sum(axis=-1)
    return weights


def _arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    # Divided by a power of two beforehand, every sum has the same digits as without, and is as exact.
    scale = np.ldexp(np.float32(1), -layer.shift[:, None].astype(np.int32))
    return layer.weight.astype(np.float32) * scale, layer.bias[:, None].astype(np.float32) * scale


@cache
def _powers() -> np.ndarray:
    """2^(20 - d / 64) to the nearest whole number for d = 0 .. 1279, and 0 for d = 1280."""
    # The 64th root of 2 in fixed point: six square roots. The errors stay far below what rounding can see.
    bits = 96
    root = 2 << bits
    for _ in range(6):
        root = isqrt(root << bits)
    values, value = [], 1 << (bits + _BITS)
    for _ in range(_STEPS_A_BIT * _BITS):
        values.append((value + (1 << bits - 1)) >> bits)
        value = (value << bits) // root
    return np.array([*values, 0], dtype=np.float64)
