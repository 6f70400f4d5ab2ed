"""Other vocal tracts: a voice whose formants move while its pitch stays."""

from __future__ import annotations

import numpy as np
import scipy.fft

_WINDOW, _ENVELOPE = 0.032, 0.0016
# Gains beyond it would lift noise where a recording has nothing.
_LIMIT = 15.0
_LOWEST = 1e-4


def move_formants(x: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """`[channels, samples]`, float32, with the spectral envelope moved up (above 1) or down by `factor`.

    As by a vocal tract that is shorter by this factor (vocal tract length perturbation, Jaitly and Hinton
    2013, with a linear warp). The envelope is the part of the cepstrum below 1.6 ms, less than a period of
    any voice; it changes by 15 dB at most.
    """
    size = 2 * round(_WINDOW * sample_rate / 2)
    hop = size // 4
    n = x.shape[-1]
    frames = -(-n // hop) + 3
    padded = np.zeros((*x.shape[:-1], (frames + 3) * hop), np.float32)
    padded[..., 3 * hop : 3 * hop + n] = x
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size).astype(np.float32)
    windowed = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::hop, :] * window
    spectrum = scipy.fft.rfft(windowed)
    logs = np.log(np.abs(spectrum) + _LOWEST)
    cepstrum = scipy.fft.irfft(logs)
    kept = round(_ENVELOPE * sample_rate)
    cepstrum[..., kept + 1 : size - kept] = 0
    envelope = scipy.fft.rfft(cepstrum).real
    # Line k gets what the envelope has at line k / factor.
    place = np.minimum(np.arange(size // 2 + 1) / factor, size // 2 - 1e-3)
    low = place.astype(np.int64)
    part = (place - low).astype(np.float32)
    moved = envelope[..., low] * (1 - part) + envelope[..., low + 1] * part
    limit = _LIMIT / 20 * np.log(10)
    spectrum *= np.exp(np.clip(moved - envelope, -limit, limit))
    # Four sine windows, squared, add up to two.
    pieces = scipy.fft.irfft(spectrum, size) * (window / 2)
    out = np.zeros_like(padded)
    for quarter in range(4):
        part_of = pieces[..., quarter * hop : (quarter + 1) * hop]
        count = part_of.shape[-2]
        out[..., quarter * hop : (quarter + count) * hop] += part_of.reshape(*x.shape[:-1], count * hop)
    return np.ascontiguousarray(out[..., 3 * hop : 3 * hop + n], dtype=np.float32)
