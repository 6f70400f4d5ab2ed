"""The mel distance of DAC (Kumar et al. 2023), whose figures papers on codecs compare."""

from __future__ import annotations

import math
from functools import cache

import librosa
import numpy as np

# Section 3.5 of the paper, and its published configuration; section 4 reports the distance with these.
_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
_LOWEST = 1e-5


def dac_mel_distance(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """Sum over seven window lengths of the mean absolute difference of log10 mel magnitudes.

    Windows of 32 to 2048 samples (Hann, a quarter apart, reflected at the ends) with 5 to 320 mel bands from
    0 Hz to half the sample rate; magnitudes below 1e-5 count as 1e-5. NaN for clips of 1024 samples or
    fewer, which the longest window cannot reflect.

    Args:
        reference, decoded: float arrays `[samples]` of one length.
        sample_rate: Hz; figures of different rates do not compare.
    """
    if len(reference) <= _SCALES[-1][0] // 2:
        return math.nan
    total = 0.0
    for size, bands in _SCALES:
        a, b = (_log_mel(x, size, bands, sample_rate) for x in (reference, decoded))
        total += float(np.abs(a - b).mean())
    return total


def _log_mel(x: np.ndarray, size: int, bands: int, sample_rate: int) -> np.ndarray:
    spectrum = librosa.stft(
        x.astype(np.float32), n_fft=size, hop_length=size // 4, window="hann", center=True, pad_mode="reflect"
    )
    return np.log10(np.maximum(_filters(size, bands, sample_rate) @ np.abs(spectrum), _LOWEST))


@cache
def _filters(size: int, bands: int, sample_rate: int) -> np.ndarray:
    return librosa.filters.mel(sr=sample_rate, n_fft=size, n_mels=bands)
