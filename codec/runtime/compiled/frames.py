"""One frame of the spectral codec (`codec.models.spectral`) in one call of compiled code."""

from __future__ import annotations

import math

import numpy as np

from codec.jit import compiled
from codec.runtime.compiled.kernels import block, product, widened

# As `codec.models.spectral.KNEE`, and as PyTorch's layer norm has it.
_KNEE = 1e-6
EPSILON = 1e-5
# As in `codec.models.bands`.
_FLOOR, _CEILING = 1e-7, 8.0


@compiled
def split(spectrum: np.ndarray, bands: np.ndarray, exponent: float, y: np.ndarray) -> None:
    """`codec.models.bands.BandLevels.split` of coefficients `[hop_length]` into y, both float64."""
    hop = len(spectrum)
    count = len(y) - hop
    power, members = np.zeros(count), np.zeros(count)
    for k in range(hop):
        above = spectrum[k + 1] if k + 1 < hop else 0.0
        below = spectrum[k - 1] if k > 0 else 0.0
        power[bands[k]] += spectrum[k] ** 2 + (above - below) ** 2
        members[bands[k]] += 1
    for band in range(count):
        level = math.log(power[band] / members[band] + _FLOOR)
        y[hop + band] = level
        power[band] = math.exp(-(1 - exponent) / 2 * level)
    for k in range(hop):
        y[k] = spectrum[k] * power[bands[k]]


@compiled
def compress(spectrum: np.ndarray, bands: np.ndarray, exponent: float, y: np.ndarray) -> None:
    """Coefficients `[hop_length]` as the first layer has them, both float64; bands: as for `encode`."""
    if len(bands) == 0:
        for k in range(len(spectrum)):
            y[k] = spectrum[k] * (spectrum[k] * spectrum[k] + _KNEE) ** ((exponent - 1) / 2)
    else:
        split(spectrum, bands, exponent, y)


@compiled
def joined(level: float, exponent: float) -> float:
    """The gain that a band's decoded level stands for, as `codec.models.bands.BandLevels.join`."""
    return math.exp((1 - exponent) / 2 * min(float(level), _CEILING))


@compiled
def encode(
    samples: np.ndarray,
    past: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
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
    latent: np.ndarray,
) -> None:
    """The latent `[dim]` of a frame's samples `[hop_length]`.

    Args:
        past: the samples before these, `[hop_length]`. before, after: states of the blocks,
            `[blocks, channels, kernel_size - 1]`.
        basis: of the filter bank, `[hop_length, 2 * hop_length]`.
        bands: the band of each coefficient, `[hop_length]`, or empty where there are no bands.
        mix, mixed, project, projected: weight and bias of the first and the last layer.
        taps, vectors, expand, widen, contract: of `kernels.block`, for all blocks.
    """
    hop = len(samples)
    wide = np.empty(hop)
    for k in range(hop):
        total = 0.0
        for j in range(hop):
            total += np.float64(basis[k, j]) * np.float64(past[j])
        for j in range(hop):
            total += np.float64(basis[k, hop + j]) * np.float64(samples[j])
        wide[k] = total
    spectrum = np.empty(mix.shape[1])
    compress(wide, bands, exponent, spectrum)
    x = np.empty(len(mixed), np.float32)
    product(mix, mixed, spectrum, x)
    for k in range(len(taps)):
        block(x, before[k], after[k], taps[k], vectors[k], expand[k], widen[k], contract[k], EPSILON)
    product(project, projected, x.astype(np.float64), latent)


@compiled
def decode(
    latent: np.ndarray,
    overlap: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    basis: np.ndarray,
    exponent: float,
    bands: np.ndarray,
    unproject: np.ndarray,
    unprojected: np.ndarray,
    taps: np.ndarray,
    vectors: np.ndarray,
    expand: np.ndarray,
    widen: np.ndarray,
    contract: np.ndarray,
    unmix: np.ndarray,
    unmixed: np.ndarray,
    samples: np.ndarray,
    tail: np.ndarray,
) -> None:
    """Samples `[hop_length]` of a latent, and the tail `[hop_length]` that overlaps the next.

    Args:
        overlap: the tail of the frame before. The others as for `encode`.
    """
    x = np.empty(len(unprojected), np.float32)
    product(unproject, unprojected, latent, x)
    for k in range(len(taps)):
        block(x, before[k], after[k], taps[k], vectors[k], expand[k], widen[k], contract[k], EPSILON)
    hop = len(samples)
    # As many rows as `product` wants; those beyond are not looked at.
    spectrum = np.empty(len(unmixed), np.float32)
    product(unmix, unmixed, x, spectrum)
    samples[:] = overlap
    tail[:] = 0
    for k in range(hop):
        value = float(spectrum[k])
        if len(bands) == 0:
            level = np.float32(value * (value * value + _KNEE) ** ((1 / exponent - 1) / 2))
        else:
            level = np.float32(value * joined(spectrum[hop + bands[k]], exponent))
        for j in range(hop):
            samples[j] += level * basis[k, j]
        for j in range(hop):
            tail[j] += level * basis[k, hop + j]


@compiled
def add_up(tables: np.ndarray, codes: np.ndarray, total: np.ndarray) -> None:
    """Adds to total `[dim]` what codes `[n]` stand for in codebooks `[at least n, size, dim]`."""
    for stage in range(len(codes)):
        for j in range(len(total)):
            total[j] += widened(tables[stage, codes[stage], j])
