"""The beam search of `codec.quantize.paths` for one latent, compiled by Numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from codec.jit import compiled
from codec.runtime.compiled.kernels import widened


@compiled
def scores_of(
    table: np.ndarray, halves: np.ndarray, residuals: np.ndarray, spent: np.ndarray, scores: np.ndarray
) -> None:
    """Minus half of the squared distances, with prices, of residuals `[paths, dim]` from entries.

    Summed in the type of the residuals. table: a codebook `[size, dim]`. halves: `-|e|^2 / 2`, less half of
    the price of each, `[size]`. spent: what each path has cost. scores: filled, `[paths, size]`.
    """
    paths, dim = residuals.shape
    four = np.empty((4, dim), residuals.dtype)
    for i in range(0, len(table), 4):
        for r in range(4):
            for j in range(dim):
                four[r, j] = widened(table[i + r, j])
        for p in range(paths):
            # Sums that begin with zero of the type that is summed in.
            a = b = c = d = residuals[p, 0] - residuals[p, 0]
            for j in range(dim):
                value = residuals[p, j]
                a += four[0, j] * value
                b += four[1, j] * value
                c += four[2, j] * value
                d += four[3, j] * value
            scores[p, i], scores[p, i + 1] = a + halves[i], b + halves[i + 1]
            scores[p, i + 2], scores[p, i + 3] = c + halves[i + 2], d + halves[i + 3]
    for p in range(paths):
        half = spent[p]
        for j in range(dim):
            half += residuals[p, j] * residuals[p, j]
        half /= 2
        for i in range(len(table)):
            scores[p, i] -= half


@compiled
def extend(
    paths: int,
    residuals: np.ndarray,
    chosen: np.ndarray,
    distances: np.ndarray,
    spent: np.ndarray,
    tables: np.ndarray,
    halves: np.ndarray,
    first: int,
    count: int,
    exact: bool,
    price: float,
) -> tuple[int, float]:
    """Extends paths by one code of each of `count` codebooks; returns how many there are then, and the gap.

    Args:
        residuals: what paths leave, `[beam, dim]`, float32 or float64. chosen: their codes, `[beam, stages]`.
            distances: of what they leave, `[beam]`, the least first. spent: the prices of their codes,
            `[beam]`. All are changed in place.
        tables, halves: as of `kernels.search`, halves less half of the price of each code. first: the number
            of their first codebook among all. exact: the gap is that of the borders between sums, and not a
            simple bound. price: of every code but the first of a codebook.
    """
    beam, dim = residuals.shape
    size = tables.shape[1]
    most = 2 * beam + 1 if exact else beam + 1
    scores = np.empty((beam, size), residuals.dtype)
    best = np.empty(most)
    parent, code = np.empty(most, np.int64), np.empty(most, np.int64)
    before, codes, paid = np.empty_like(residuals), np.empty_like(chosen), np.empty_like(spent)
    gap = np.inf
    for stage in range(count):
        scores_of(tables[stage], halves[stage], residuals[:paths], spent, scores[:paths])
        found = 0
        for p in range(paths):
            for i in range(size):
                score = scores[p, i]
                if found < most or score > best[found - 1]:
                    # Into its place among the best.
                    at = found if found < most else found - 1
                    found = at + 1
                    while at > 0 and best[at - 1] < score:
                        best[at], parent[at], code[at] = best[at - 1], parent[at - 1], code[at - 1]
                        at -= 1
                    best[at], parent[at], code[at] = score, p, i
        before[:], codes[:], paid[:] = residuals, chosen, spent
        every = paths * size
        paths = min(found, beam)
        for p in range(paths):
            for j in range(dim):
                residuals[p, j] = before[parent[p], j] - widened(tables[stage, code[p], j])
            chosen[p] = codes[parent[p]]
            chosen[p, first + stage] = code[p]
            spent[p] = paid[parent[p]] + (price if code[p] != 0 else 0.0)
            distances[p] = math.sqrt(max(0.0, -2 * best[p]))
        if found < every or (found > paths and not exact):
            gap = min(gap, (math.sqrt(max(0.0, -2 * best[found - 1])) - distances[paths - 1]) / 2)
        if exact:
            for p in range(paths):
                for other in range(paths, found):
                    apart = 0.0
                    for j in range(dim):
                        value = before[parent[other], j] - widened(tables[stage, code[other], j])
                        apart += (value - residuals[p, j]) ** 2
                    if apart > 0:
                        gap = min(gap, (best[p] - best[other]) / math.sqrt(apart))
    return paths, gap


def search(
    latent: np.ndarray, parts: list[tuple[Any, Any]], beam: int, price: float
) -> tuple[np.ndarray, float]:
    """Codes `[stages]` of a latent `[dim]`, in its type, and how far it may move at least until they change.

    parts: tables and halves, as of `extend`, of codebooks of one size each.
    """
    stages = sum(len(tables) for tables, _ in parts)
    residuals = np.zeros((beam, len(latent)), latent.dtype)
    residuals[0] = latent
    chosen, distances = np.zeros((beam, stages), np.int64), np.zeros(beam)
    spent = np.zeros(beam, latent.dtype)
    paths, gap, first, exact = 1, math.inf, 0, latent.dtype == np.float64
    for tables, halves in parts:
        paths, own = extend(
            paths, residuals, chosen, distances, spent, tables, halves, first, len(tables), exact, price
        )
        gap, first = min(gap, own), first + len(tables)
    if not exact and paths > 1:
        gap = min(gap, (distances[1] - distances[0]) / 2)
    for other in range(1, paths if exact else 1):
        apart = float(np.linalg.norm(residuals[other] - residuals[0]))
        if apart > 0:
            gap = min(gap, (distances[other] ** 2 - distances[0] ** 2) / (2 * apart))
    return chosen[0], gap
