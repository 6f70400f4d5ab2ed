"""Lattices: the nearest point of Z^n, D_n and E8, and the bounded sets of points that serve as codebooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

Lattice = Literal["learned", "d4", "e8"]


def nearest_integer(x: torch.Tensor) -> torch.Tensor:
    """The nearest point of Z^n to each vector of `[..., n]`."""
    return torch.floor(x + 0.5)


def nearest_d(x: torch.Tensor) -> torch.Tensor:
    """The nearest point of D_n, the integer vectors with an even sum (Conway and Sloane 1982, algorithm 2).

    Of the nearest integer vector f(x), and g(x), in which the coordinate that was rounded furthest is rounded
    the other way, one has an even sum.
    """
    f = nearest_integer(x)
    off = x - f
    worst = off.abs().argmax(-1, keepdim=True)
    turned = f.scatter_add(-1, worst, torch.where(off.gather(-1, worst) < 0, -1.0, 1.0).to(x.dtype))
    odd = f.sum(-1, keepdim=True).remainder(2) != 0
    return torch.where(odd, turned, f)


def nearest_e8(x: torch.Tensor) -> torch.Tensor:
    """The nearest point of E8, which is D8 and D8 + (1/2, ..., 1/2) (Conway and Sloane 1982, section V)."""
    whole = nearest_d(x)
    half = nearest_d(x - 0.5) + 0.5
    nearer = (x - half).square().sum(-1, keepdim=True) < (x - whole).square().sum(-1, keepdim=True)
    return torch.where(nearer, half, whole)


NEAREST: dict[Lattice, Callable[[torch.Tensor], torch.Tensor]] = {
    "learned": nearest_integer,
    "d4": nearest_d,
    "e8": nearest_e8,
}


def first_points(lattice: Lattice, dim: int, size: int) -> np.ndarray:
    """The `size` points nearest to the origin, twice their coordinates as int64 `[size, dim]`.

    The order is part of a model's meaning: by length, and points of equal length in an order without
    preference for a direction (a hash of their coordinates), so that a shell that does not fit whole is not
    cut off at one side.
    """
    squared = 0
    while True:
        points = _within(lattice, dim, squared)
        if len(points) >= size:
            break
        # Longer ones too are no harm; a radius in steps of one would take ages in one dimension.
        squared = max(squared + 1, squared * 6 // 5)
    powers = np.array([pow(1_000_003, i, 1 << 64) for i in range(1, dim + 1)], np.uint64)
    mixed = (points.astype(np.uint64) * powers).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    # The coordinates come last, in case that two points of a shell have the same hash.
    order = np.lexsort((*points.T, mixed, (points**2).sum(axis=1)))
    return points[order[:size]]


def minimal_vectors(lattice: Lattice, dim: int) -> np.ndarray:
    """The shortest vectors of D4 or E8, `[24 or 240, dim]`: the cells' faces lie half way to them."""
    points = _within(lattice, dim, 2)
    return points[(points**2).sum(axis=1) == 8] / 2


def _within(lattice: Lattice, dim: int, squared: int) -> np.ndarray:
    """All points with a squared length of at most `squared`, doubled, `[n, dim]`."""
    if lattice == "learned":
        return _vectors(dim, 4 * squared, 0)
    points = _vectors(dim, 4 * squared, 0)
    if lattice == "e8":
        points = np.concatenate([points, _vectors(dim, 4 * squared, 1)])
    return points[points.sum(axis=1) % 4 == 0]


def _vectors(dim: int, squared: int, parity: int) -> np.ndarray:
    """All integer vectors with coordinates of one parity and a squared length of at most `squared`."""
    most = int(squared**0.5) + 1
    values = np.arange(-most, most + 1)
    values = values[values % 2 == parity]
    found = np.zeros((1, 0), np.int64)
    lengths = np.zeros(1, np.int64)
    for _ in range(dim):
        longer = lengths[:, None] + values**2
        row, column = np.nonzero(longer <= squared)
        found = np.concatenate([found[row], values[column, None]], axis=1)
        lengths = longer[row, column]
    return found
