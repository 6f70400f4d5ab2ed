"""The loops of `codec.nn.cpu_training`, compiled by Numba: arrays in, arrays filled in place, all float32."""

from __future__ import annotations

import numpy as np
from numba import prange  # type: ignore[import-untyped, unused-ignore]

from codec.jit import compiled_for_threads


@compiled_for_threads
def depthwise_norm(
    x: np.ndarray,
    taps: np.ndarray,
    bias: np.ndarray,
    gain: np.ndarray,
    offset: np.ndarray,
    eps: float,
    y: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Of x `[batch, frames, channels]` y, and what its gradient needs: y before gain and offset, and 1 / std.

    The last tap meets the present frame; before the first frame all is zero.
    """
    count, channels = taps.shape
    for item in prange(len(x)):
        for frame in range(x.shape[1]):
            made = normal[item, frame]
            made[:] = bias
            for tap in range(max(0, count - 1 - frame), count):
                seen, weight = x[item, frame - count + 1 + tap], taps[tap]
                for c in range(channels):
                    made[c] += seen[c] * weight[c]
            mean = np.float32(0)
            for c in range(channels):
                mean += made[c]
            mean /= np.float32(channels)
            variance = np.float32(0)
            for c in range(channels):
                variance += (made[c] - mean) * (made[c] - mean)
            one = np.float32(1 / np.sqrt(variance / np.float32(channels) + np.float32(eps)))
            scale[item, frame] = one
            for c in range(channels):
                made[c] = (made[c] - mean) * one
                y[item, frame, c] = made[c] * gain[c] + offset[c]


@compiled_for_threads
def depthwise_norm_gradients(
    x: np.ndarray,
    taps: np.ndarray,
    gain: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
    outer: np.ndarray,
    by_x: np.ndarray,
    by_taps: np.ndarray,
    by_others: np.ndarray,
) -> None:
    """From the gradient by y those by x, by taps, and by bias, gain and offset (`[batch, 3, channels]`)."""
    count, channels = taps.shape
    for item in prange(len(x)):
        inner = np.empty(channels, np.float32)
        bias, gains, offsets = by_others[item, 0], by_others[item, 1], by_others[item, 2]
        for frame in range(x.shape[1]):
            g, n = outer[item, frame], normal[item, frame]
            mean, along = np.float32(0), np.float32(0)
            for c in range(channels):
                gains[c] += g[c] * n[c]
                offsets[c] += g[c]
                inner[c] = g[c] * gain[c]
                mean += inner[c]
                along += inner[c] * n[c]
            mean /= np.float32(channels)
            along /= np.float32(channels)
            one = scale[item, frame]
            for c in range(channels):
                inner[c] = (inner[c] - mean - n[c] * along) * one
                bias[c] += inner[c]
            for tap in range(max(0, count - 1 - frame), count):
                place = frame - count + 1 + tap
                seen, weight, back, sums = x[item, place], taps[tap], by_x[item, place], by_taps[item, tap]
                for c in range(channels):
                    back[c] += inner[c] * weight[c]
                for c in range(channels):
                    sums[c] += inner[c] * seen[c]


def compile_all() -> None:
    """Compiles both, or loads what an earlier process has compiled."""
    x, taps, channel = np.zeros((1, 2, 4), np.float32), np.zeros((3, 4), np.float32), np.zeros(4, np.float32)
    scale = np.zeros((1, 2), np.float32)
    depthwise_norm(x, taps, channel, channel, channel, 1e-5, x.copy(), x.copy(), scale)
    sums = np.zeros((1, 3, 4), np.float32)
    depthwise_norm_gradients(x, taps, channel, x, scale, x, x.copy(), sums, sums.copy())
