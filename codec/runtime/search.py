"""Residual vector quantization in numpy: the search of `codec.quantize`, and how safe its finding is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codec.tokens import Codes
from codec.variable import SKIP

# Latents searched for at once: so few that their scores stay in the processor's cache, beside a codebook.
_ROWS = 64
# The same for sums in a beam search, where more at once matters more.
_SUMS = 512


@dataclass(frozen=True, eq=False)
class Codebook:
    """One stage, in float32 or float64: its code for x is the nearest key to x, or to its features.

    values: what the codes stand for, `[size, dim]`.
    keys: what is compared, `[size, inner]`; the values themselves for a search by Euclidean distance.
    weight, bias: features are `weight x + bias`, of length 1; `[inner, dim]` and `[inner]`, None without.
    begin: of a latent's values, x are those from here on.
    price: what every code but the first must gain, in squared distance (`codec.quantize.prices`).
    """

    values: np.ndarray
    keys: np.ndarray
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    begin: int = 0
    price: float = 0.0

    def astype(self, dtype: type) -> Codebook:
        """The same in another type."""
        values: np.ndarray = self.values.astype(dtype)
        return Codebook(
            values=values,
            keys=values if self.keys is self.values else self.keys.astype(dtype),
            weight=None if self.weight is None else self.weight.astype(dtype),
            bias=None if self.bias is None else self.bias.astype(dtype),
            begin=self.begin,
            price=self.price,
        )

    @property
    def columns(self) -> slice:
        """Of a latent's values, those that it is about."""
        return slice(self.begin, self.begin + self.values.shape[1])

    def match(self, x: np.ndarray, bound: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Codes `[n]` of x `[n, dim]`, and which may be others if x moves by up to `bound`, `[n]`.

        As `codec.quantize.lookup.match` and `codec.quantize.cosine`, where it is derived. Without a bound,
        nothing is said about safety.
        """
        if self.weight is not None:
            x = x @ self.weight.T + self.bias
            length = np.linalg.norm(x, axis=1)
            x = x / np.maximum(length, 1e-12)[:, None]
            if bound is not None:
                bound = bound * self._steepest / np.maximum(length, np.finfo(x.dtype).tiny)
        scores = x @ self._columns
        scores -= self.halves
        codes = scores.argmax(1)
        if bound is None:
            return codes, None
        rows = np.arange(len(x))
        best = scores[rows, codes]
        scores[rows, codes] = -np.inf
        # No code scores better than the runner-up, or is farther away than the reach: rarely close enough.
        close = best - scores.max(1) <= bound * self.reach[codes]
        if close.any():
            where = close.nonzero()[0]
            close[where] = self._gap(x[where], scores[where], codes[where], best[where]) <= bound[where]
        return codes, close

    def _gap(self, x: np.ndarray, scores: np.ndarray, codes: np.ndarray, best: np.ndarray) -> np.ndarray:
        """How far each x may move, at least; scores `[n, size]` of all codes but the best."""
        rows = np.arange(len(x))
        second = scores.argmax(1)
        scores[rows, second] = -np.inf
        a, b = self.keys[codes], self.keys[second]
        across = a - b
        apart = np.linalg.norm(across, axis=1)
        gap = np.einsum("nd,nd->n", x - (a + b) / 2, across) / np.maximum(apart, np.finfo(x.dtype).tiny)
        others = (best - scores.max(1, initial=-np.inf)) / self.reach[codes]
        # Equal keys are no border.
        return np.minimum(np.where(apart > 0, gap, np.inf), others)

    @cached_property
    def _columns(self) -> np.ndarray:
        return self.keys.T

    @cached_property
    def halving(self) -> np.ndarray:
        """`[dim + 2, size]`: the product of (x, 1, |x|^2 / 2) with it is minus half of squared distances.

        With the price of a code added to its squared distance.
        """
        half = np.square(self.values).sum(1, keepdims=True) * self.values.dtype.type(-0.5)
        half[SKIP + 1 :] -= self.values.dtype.type(self.price / 2)
        return np.ascontiguousarray(np.concatenate([self.values, half, np.full_like(half, -1)], axis=1).T)

    @cached_property
    def halves(self) -> np.ndarray:
        return np.square(self.keys).sum(1) * self.keys.dtype.type(0.5)

    @cached_property
    def reach(self) -> np.ndarray:
        """For each code how far another can be from it, at most."""
        norms = np.linalg.norm(self.keys, axis=1)
        return np.maximum(norms + norms.max(), np.finfo(self.keys.dtype).tiny)

    @cached_property
    def _steepest(self) -> np.ndarray:
        """What a step of length 1 in x is in the features, at most."""
        assert self.weight is not None
        return np.linalg.norm(self.weight.astype(np.float64), 2).astype(self.weight.dtype)


def encode(
    stages: Sequence[Codebook], x: np.ndarray, bound: np.ndarray | None = None, beam: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Codes int64 `[n, codebooks]` of latents `[n, dim]`, and which latents may have others, bool `[n]`.

    SoundStream (Zeghidour et al. 2021), algorithm 1.

    Args:
        bound: how far each latent may be from the true one, `[n]`; not at all if not given.
        beam: sums of codes that are kept at every stage, for a search as `codec.quantize.paths`.
    """
    if beam > 1 or any(stage.price > 0 for stage in stages):
        return _by_paths(stages, x, bound, beam)
    codes = np.empty((len(x), len(stages)), np.int64)
    unsure = np.zeros(len(x), np.bool_)
    residual = x.copy()
    parts = [slice(first, first + _ROWS) for first in range(0, len(x), _ROWS)]
    for k, stage in enumerate(stages):
        for part in parts:
            x = residual[part, stage.columns]
            found, close = stage.match(x, None if bound is None else bound[part])
            x -= stage.values[found]
            codes[part, k] = found
            if close is not None:
                unsure[part] |= close
    return codes, unsure


def _by_paths(
    stages: Sequence[Codebook], x: np.ndarray, bound: np.ndarray | None, beam: int
) -> tuple[np.ndarray, np.ndarray]:
    codes = np.empty((len(x), len(stages)), np.int64)
    gaps = np.empty(len(x), x.dtype)
    at_once = max(1, _SUMS // beam)
    for first in range(0, len(x), at_once):
        part = slice(first, first + at_once)
        codes[part], gaps[part] = _paths(stages, x[part], beam)
    return codes, np.zeros(len(x), np.bool_) if bound is None else gaps <= bound


def _paths(stages: Sequence[Codebook], x: np.ndarray, beam: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes `[n, codebooks]` of x `[n, dim]`, and how far x may move at least until they are others."""
    n, dim = x.shape
    exact = x.dtype == np.float64
    rows = np.arange(n)[:, None]
    residual = x[:, None]  # [n, paths, dim]
    chosen = np.zeros((n, 1, 0), np.int64)
    gap = np.full(n, np.inf, x.dtype)
    distance, spent = np.zeros((2, n, 1), x.dtype)
    for stage in stages:
        paths, size = residual.shape[1], len(stage.values)
        terms = np.empty((n * paths, dim + 2), x.dtype)
        terms[:, :dim] = residual.reshape(-1, dim)
        terms[:, dim] = 1
        squares = np.einsum("nd,nd->n", terms[:, :dim], terms[:, :dim])
        terms[:, dim + 1] = (squares + spent.reshape(-1)) * x.dtype.type(0.5)
        scores = (terms @ stage.halving).reshape(n, paths, size)
        kept, wanted = min(beam, paths * size), min(2 * beam + 1 if exact else beam + 1, paths * size)
        # The best of all lie at the codes whose best path is best.
        few = _largest(scores.max(1), min(wanted, size))
        candidates = scores[rows[..., None], np.arange(paths)[:, None], few[:, None]].reshape(n, -1)
        where = _largest(candidates, wanted)
        best = candidates[rows, where]
        order = np.argsort(-best, axis=1, kind="stable")
        where, best = where[rows, order], best[rows, order]
        distance = np.sqrt(np.maximum(-2 * best, 0))
        if wanted < paths * size or (wanted > kept and not exact):
            gap = np.minimum(gap, (distance[:, -1] - distance[:, kept - 1]) / 2)
        parents, codes = where // few.shape[1], few[rows, where % few.shape[1]]
        left = residual[rows, parents] - stage.values[codes]
        if exact and wanted > kept:
            gap = np.minimum(gap, _border(left, distance, kept))
        residual = left[:, :kept]
        parents, codes = parents[:, :kept], codes[:, :kept]
        spent = spent[rows, parents] + x.dtype.type(stage.price) * (codes != SKIP)
        chosen = np.concatenate([chosen[rows, parents], codes[..., None]], axis=2)
    if residual.shape[1] > 1:
        if exact:
            others = _border(residual, distance[:, : residual.shape[1]], 1)
        else:
            others = (distance[:, 1] - distance[:, 0]) / 2
        gap = np.minimum(gap, others)
    return chosen[:, 0], gap


def _border(left: np.ndarray, distance: np.ndarray, kept: int) -> np.ndarray:
    """As in `codec.quantize.paths`."""
    squares = np.square(distance)
    farther = squares[:, None, kept:] - squares[:, :kept, None]
    apart = np.linalg.norm(left[:, :kept, None] - left[:, None, kept:], axis=3)
    border = farther / np.maximum(2 * apart, np.finfo(left.dtype).tiny)
    found: np.ndarray = np.where(apart > 0, border, np.inf).min((1, 2))
    return found


def _largest(x: np.ndarray, count: int) -> np.ndarray:
    """Where the `count` largest of each row of x `[n, size]` are, in any order."""
    if count >= x.shape[1]:
        return np.broadcast_to(np.arange(x.shape[1]), x.shape)
    return np.argpartition(x, x.shape[1] - count, axis=1)[:, x.shape[1] - count :]


def decode(
    tables: Sequence[np.ndarray], codes: Codes, columns: Sequence[slice] = (), width: int = 0
) -> np.ndarray:
    """Latents float32 `[batch, dim, frames]` of codes `[batch, codebooks, frames]`.

    tables: what the codes stand for, `[size, dim]` each; in any type that float32 holds, to be widened after
    the choice and not before. columns: those of the latents, of this width, that each is about; all without.
    """
    if columns:
        latents = np.zeros((len(codes), codes.shape[2], width), np.float32)
        for k, own in enumerate(columns[: codes.shape[1]]):
            latents[..., own] += tables[k][codes[:, k]]
        return np.ascontiguousarray(latents.transpose(0, 2, 1))
    total = tables[0][codes[:, 0]].astype(np.float32)
    for k in range(1, codes.shape[1]):
        total += tables[k][codes[:, k]]
    return np.ascontiguousarray(total.transpose(0, 2, 1))
