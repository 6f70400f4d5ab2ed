"""One latent of the spectral codec in float64, from the samples that it depends on: what decides close calls.

onnxruntime takes three times as long for a single frame: it arranges each weight in memory anew, and computes
the error function by some twenty passes over the values.
"""

from __future__ import annotations

import math

import numpy as np

from codec.jit import compiled
from codec.runtime.compiled.frames import EPSILON, compress
from codec.runtime.compiled.kernels import product, widened

# As `kernels.gelu`, by a series of order 4 on a finer grid: what is left out is below 1e-15.
_REACH, _GRID = 9, 256
_CENTRES = np.arange(-_REACH * _GRID, _REACH * _GRID + 1) / _GRID
_PHI = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _CENTRES])
_SLOPE = np.exp(-(_CENTRES**2) / 2) / math.sqrt(2 * math.pi)
_PHI[0], _PHI[-1], _SLOPE[0], _SLOPE[-1] = 0, 1, 0, 0


@compiled
def products(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """`kernels.product` of each row of x `[n, in]`, into y `[n, out]`; four rows of weight serve all of x."""
    four = np.empty((4, x.shape[1]))
    for i in range(0, y.shape[1], 4):
        for r in range(4):
            for j in range(x.shape[1]):
                four[r, j] = widened(weight[i + r, j])
        for k in range(len(x)):
            product(four, bias[i : i + 4], x[k], y[k, i : i + 4])


@compiled
def gelu(x: np.ndarray) -> None:
    """`x Phi(x)` of x `[n]`, in place."""
    for i in range(len(x)):
        value = x[i]
        near = min(max(value, -float(_REACH)), float(_REACH))
        at = math.floor(near * _GRID + 0.5)
        centre = at / _GRID
        square, h = centre * centre, near - centre
        # Horner's scheme of the Taylor series; derivatives of phi are Hermite polynomials times phi.
        series = (square - 1) / 6 - h * centre * (square - 3) / 24
        steps = h * (1 + h * (h * series - centre / 2))
        x[i] = value * (_PHI[at + _REACH * _GRID] + _SLOPE[at + _REACH * _GRID] * steps)


@compiled
def block(
    x: np.ndarray,
    taps: np.ndarray,
    vectors: np.ndarray,
    expand: np.ndarray,
    widen: np.ndarray,
    contract: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """A ConvNeXt block on frames x `[n, channels]`; of as many fewer as its convolution looks back.

    The others as for `kernels.block`.
    """
    channels, size = taps.shape
    frames = len(x) - size + 1
    y = np.empty((frames, channels))
    for t in range(frames):
        mean = 0.0
        for c in range(channels):
            total = np.float64(vectors[0, c])
            for k in range(size):
                total += taps[c, k] * x[t + k, c]
            y[t, c] = total
            mean += total
        mean /= channels
        variance = 0.0
        for c in range(channels):
            variance += (y[t, c] - mean) ** 2
        scale = 1 / math.sqrt(variance / channels + epsilon)
        for c in range(channels):
            y[t, c] = (y[t, c] - mean) * scale * vectors[1, c] + vectors[2, c]
    hidden = np.empty((frames, len(widen)))
    products(expand, widen, y, hidden)
    gelu(hidden.ravel())
    products(contract, vectors[3], hidden, y)
    for t in range(frames):
        for c in range(channels):
            y[t, c] += x[t + size - 1, c]
    return y


@compiled
def encode(
    samples: np.ndarray,
    basis: np.ndarray,
    exponent: float,
    bands: np.ndarray,
    mix: np.ndarray,
    mixed: np.ndarray,
    taps: np.ndarray,
    vectors: np.ndarray,
    expand: np.ndarray,
    widen: np.ndarray,
    contract: np.ndarray,
    project: np.ndarray,
    projected: np.ndarray,
) -> np.ndarray:
    """Latents float64 `[frames, dim]` of samples that begin with all that the first of them depends on.

    The others as for `frames.encode`.
    """
    hop = len(basis)
    windows = np.empty((len(samples) // hop - 1, 2 * hop))
    for t in range(len(windows)):
        windows[t] = samples[t * hop : (t + 2) * hop]
    coefficients = np.empty((len(windows), hop))
    products(basis, np.zeros(hop), windows, coefficients)
    spectrum = np.empty((len(windows), mix.shape[1]))
    for t in range(len(windows)):
        compress(coefficients[t], bands, exponent, spectrum[t])
    x = np.empty((len(windows), len(mixed)))
    products(mix, mixed, spectrum, x)
    for k in range(len(taps)):
        x = block(x, taps[k], vectors[k], expand[k], widen[k], contract[k], EPSILON)
    latents = np.empty((len(x), len(projected)))
    products(project, projected, x, latents)
    return latents
