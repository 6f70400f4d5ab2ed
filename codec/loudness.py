"""How loud a recording is: ITU-R BS.1770-4 integrated loudness, and plain RMS."""

from __future__ import annotations

import numpy as np

_FLOOR = 1e-20
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0


def rms_db(x: np.ndarray) -> float:
    """Root mean square of `[channels, samples]`, in dB below full scale."""
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64)) + _FLOOR))


def lufs(x: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness of `[channels, samples]` in LUFS, all channels with weight 1.

    ITU-R BS.1770-4: K-weighted power in blocks of 400 ms that overlap by 75 %, gated at -70 LUFS and at 10 LU
    below the mean of what passes. Shorter recordings are one block. Silence is about -200.
    """
    weighted = k_weighted(x, sample_rate)
    power = np.square(weighted).sum(axis=0)
    block, hop = round(0.4 * sample_rate), round(0.1 * sample_rate)
    if len(power) <= block:
        blocks = power.mean(keepdims=True)
    else:
        total = np.concatenate([[0.0], np.cumsum(power)])
        starts = np.arange(0, len(power) - block + 1, hop)
        blocks = (total[starts + block] - total[starts]) / block
    loud = blocks[_loudness(blocks) > _ABSOLUTE_GATE]
    if not len(loud):
        return float(_loudness(blocks.mean()))
    return float(_loudness(loud[_loudness(loud) > _loudness(loud.mean()) + _RELATIVE_GATE].mean()))


def k_weighted(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """`[channels, samples]` through BS.1770's two filters, a shelf for the head and a high-pass.

    The standard gives coefficients for 48 kHz only; these are the analogue filters behind them (shelf of 4 dB
    at 1682 Hz, high-pass at 38 Hz), mapped to any rate by the bilinear transform. Magnitudes are applied
    without phase, which leaves powers of blocks as they are but for their edges.
    """
    n = x.shape[-1]
    frequency = np.fft.rfftfreq(n, 1 / sample_rate)
    s = 1j * np.tan(np.pi * np.minimum(frequency, 0.4999 * sample_rate) / sample_rate)
    corner = np.tan(np.pi * min(1681.974450955533, 0.45 * sample_rate) / sample_rate)
    quality, gain = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    u = s / corner
    shelf = (gain * u**2 + gain**0.4996667741545416 * u / quality + 1) / (u**2 + u / quality + 1)
    u = s / np.tan(np.pi * 38.13547087602444 / sample_rate)
    # The standard's numerator is 1, -2, 1 as it stands, which is this much above a gain of 1.
    high = 1.004995 * u**2 / (u**2 + u / 0.5003270373238773 + 1)
    weighted: np.ndarray = np.fft.irfft(np.fft.rfft(x) * np.abs(shelf * high), n)
    return weighted


def _loudness(power: np.ndarray | float) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.asarray(power) + _FLOOR)
