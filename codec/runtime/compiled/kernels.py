"""The layers of one frame, compiled by Numba: arrays in, arrays filled in place.

Matrices are float32, or float16 as its bits in uint16; all arithmetic is float32 unless it says otherwise.
`codec.runtime.compiled.wide` has the same layers in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types  # type: ignore[import-untyped, unused-ignore]
from numba.extending import intrinsic

from codec.jit import compiled

# Phi, the normal distribution, is its Taylor series of order 3 around the nearest multiple of 1 / GRID; what
# is left out is below 2e-10. Beyond REACH it counts as 0 or 1, from which it is less than 1e-9 away.
_REACH, _GRID = 6, 64
_CENTRES = np.arange(-_REACH * _GRID, _REACH * _GRID + 1) / _GRID
_PHI = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _CENTRES], np.float32)
_SLOPE = (np.exp(-(_CENTRES**2) / 2) / math.sqrt(2 * math.pi)).astype(np.float32)
_PHI[0], _PHI[-1], _SLOPE[0], _SLOPE[-1] = 0, 1, 0, 0


def _widened(context: Any, value: Any) -> Any:
    """The bits of a float16 in a uint16 as float32; a float as it is."""
    if value in (types.float32, types.float64):
        return value(value), lambda context, builder, signature, arguments: arguments[0]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


widened: Any = intrinsic(_widened)


@compiled
def product(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """`y = weight x + bias`, summed in the type of x; the number of rows is a multiple of 4."""
    for i in range(0, len(y), 4):
        a, b, c, d = bias[i], bias[i + 1], bias[i + 2], bias[i + 3]
        for j in range(len(x)):
            value = x[j]
            a += widened(weight[i, j]) * value
            b += widened(weight[i + 1, j]) * value
            c += widened(weight[i + 2, j]) * value
            d += widened(weight[i + 3, j]) * value
        y[i], y[i + 1], y[i + 2], y[i + 3] = a, b, c, d


@compiled
def gelu(x: np.ndarray) -> None:
    """`x Phi(x)`, in place."""
    for i in range(len(x)):
        value = x[i]
        near = min(max(value, np.float32(-_REACH)), np.float32(_REACH))
        at = math.floor(near * np.float32(_GRID) + np.float32(0.5))
        centre = np.float32(at) * np.float32(1 / _GRID)
        h = near - centre
        # phi' = -x phi and phi'' = (x^2 - 1) phi.
        steps = h * (1 - h * (centre / 2 - h * (centre * centre - 1) / 6))
        x[i] = value * (_PHI[at + _REACH * _GRID] + _SLOPE[at + _REACH * _GRID] * steps)


@compiled
def block(
    x: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    taps: np.ndarray,
    vectors: np.ndarray,
    expand: np.ndarray,
    widen: np.ndarray,
    contract: np.ndarray,
    epsilon: float,
) -> None:
    """A ConvNeXt block (`codec.nn.convnext`) on one frame x `[channels]`, in place.

    Args:
        before, after: the inputs before this frame, and with it, `[channels, kernel_size - 1]`.
        taps: of the depthwise convolution, `[channels, kernel_size]`.
        vectors: its bias, the norm's weight and bias, and the last bias, `[4, channels]`.
        expand, widen: weight `[hidden, channels]` and bias. contract: weight `[channels, hidden]`.
    """
    channels, kept = before.shape
    y = np.empty(channels, np.float32)
    mean = 0.0
    for c in range(channels):
        total = vectors[0, c] + taps[c, kept] * x[c]
        for k in range(kept):
            total += taps[c, k] * before[c, k]
        for k in range(1, kept):
            after[c, k - 1] = before[c, k]
        after[c, kept - 1] = x[c]
        y[c] = total
        mean += total
    mean /= channels
    variance = 0.0
    for c in range(channels):
        variance += (y[c] - mean) ** 2
    scale = 1 / math.sqrt(variance / channels + epsilon)
    for c in range(channels):
        y[c] = np.float32((y[c] - mean) * scale) * vectors[1, c] + vectors[2, c]
    hidden = np.empty(len(widen), np.float32)
    product(expand, widen, y, hidden)
    gelu(hidden)
    product(contract, vectors[3], hidden, y)
    for c in range(channels):
        x[c] += y[c]


@compiled
def distance(entry: np.ndarray, x: np.ndarray) -> float:
    """Squared, of an entry of a codebook `[dim]` from x float64 `[dim]`."""
    total = 0.0
    for j in range(len(x)):
        total += (x[j] - np.float64(widened(entry[j]))) ** 2
    return total


@compiled
def search_wide(residual: np.ndarray, table: np.ndarray, reach: np.ndarray, bound: float) -> tuple[int, bool]:
    """The code of a residual float64 `[dim]`, and whether it may have another one within a bound; in float64.

    table: a codebook `[size, dim]`. reach: how far another entry can be, of each entry, `[size]`.
    """
    size, dim = table.shape
    distances = np.empty(size)
    first = 0
    for i in range(size):
        distances[i] = distance(table[i], residual)
        if distances[i] < distances[first]:
            first = i
    winner = np.empty(dim)
    for j in range(dim):
        winner[j] = widened(table[first, j])
    unsure = False
    for i in range(size):
        farther = distances[i] - distances[first]
        if farther <= 2 * bound * reach[first]:
            # The border is where both are as near; equal entries are no border.
            apart = math.sqrt(distance(table[i], winner))
            if apart > 0 and farther <= 2 * bound * apart:
                unsure = True
    return first, unsure


@compiled
def search(
    residual: np.ndarray,
    tables: np.ndarray,
    halves: np.ndarray,
    reach: np.ndarray,
    close: float,
    bound: float,
    codes: np.ndarray,
) -> bool:
    """Codes of one latent by residual quantization, and whether it may have others within a bound.

    Args:
        residual: the latent `[dim]`, float64; what the codebooks leave of it, afterwards.
        tables: codebooks `[at least n, size, dim]`, size a multiple of 4. halves, reach: `|e|^2 / 2` negated,
            and how far another entry can be, of each entry, `[at least n, size]`.
        close: calls closer than this are made in float64. bound: as of `search_wide`.
        codes: filled, `[n]`.
    """
    size, dim = tables.shape[1:]
    scores = np.empty(size, np.float32)
    unsure = False
    for stage in range(len(codes)):
        product(tables[stage], halves[stage], residual.astype(np.float32), scores)
        first = 0
        best = runner_up = np.float32(-np.inf)
        for i in range(size):
            score = scores[i]
            if score > runner_up:
                if score > best:
                    best, runner_up, first = score, best, i
                else:
                    runner_up = score
        if best - runner_up <= close * reach[stage, first]:
            first, other = search_wide(residual, tables[stage], reach[stage], bound)
            unsure |= other
        for j in range(dim):
            residual[j] -= widened(tables[stage, first, j])
        codes[stage] = first
    return unsure
