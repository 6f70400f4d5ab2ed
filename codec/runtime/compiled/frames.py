"""One frame of the spectral codec (`codec.models.spectral`) in one call of compiled code."""

from __future__ import annotations

import numpy as np

from codec.runtime.compiled.kernels import block, compiled, product, widened

# As `codec.models.spectral.KNEE`, and as PyTorch's layer norm has it.
_KNEE = 1e-6
_EPSILON = 1e-5


@compiled
def encode(
    samples: np.ndarray,
    past: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    basis: np.ndarray,
    exponent: float,
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
        mix, mixed, project, projected: weight and bias of the first and the last layer.
        taps, vectors, expand, widen, contract: of `kernels.block`, for all blocks.
    """
    hop = len(samples)
    spectrum = np.empty(hop, np.float32)
    for k in range(hop):
        total = 0.0
        for j in range(hop):
            total += float(basis[k, j]) * float(past[j])
        for j in range(hop):
            total += float(basis[k, hop + j]) * float(samples[j])
        spectrum[k] = total * (total * total + _KNEE) ** ((exponent - 1) / 2)
    x = np.empty(len(mixed), np.float32)
    product(mix, mixed, spectrum, x)
    for k in range(len(taps)):
        block(x, before[k], after[k], taps[k], vectors[k], expand[k], widen[k], contract[k], _EPSILON)
    product(project, projected, x, latent)


@compiled
def decode(
    latent: np.ndarray,
    overlap: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    basis: np.ndarray,
    exponent: float,
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
        block(x, before[k], after[k], taps[k], vectors[k], expand[k], widen[k], contract[k], _EPSILON)
    hop = len(samples)
    spectrum = np.empty(hop, np.float32)
    product(unmix, unmixed, x, spectrum)
    samples[:] = overlap
    tail[:] = 0
    for k in range(hop):
        value = float(spectrum[k])
        level = np.float32(value * (value * value + _KNEE) ** ((1 / exponent - 1) / 2))
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
