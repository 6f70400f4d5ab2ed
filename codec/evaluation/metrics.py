"""Objective measures of decoded speech against its original, both mono float arrays `[samples]`.

Where a measure has no value it is NaN (`evaluation.measure` finds out why).
"""

from __future__ import annotations

import math
from functools import cache

import librosa
import numpy as np
import pesq as pesq_package
import pystoi
import soxr  # type: ignore[import-untyped]


def pesq_wb(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2), 1.0 to 4.6, at 16 kHz; NaN where it finds no speech."""
    if not reference.any() or not decoded.any():
        return math.nan
    a, b = (_at_16k(x, sample_rate) for x in (reference, decoded))
    try:
        return float(pesq_package.pesq(16000, a, b, "wb"))
    except pesq_package.PesqError:
        return math.nan


def stoi(reference: np.ndarray, decoded: np.ndarray, sample_rate: int, *, extended: bool = False) -> float:
    """Short-time objective intelligibility (Taal et al. 2011), 0 to 1; extended as in Jensen and Taal 2016.

    NaN where the reference is silent or shorter than half a second.
    """
    if len(reference) < sample_rate // 2 or not reference.any():
        return math.nan
    return float(pystoi.stoi(reference, decoded, sample_rate, extended=extended))


def si_sdr(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, equation 5).

    NaN where either of them is silent, or there are no samples: the ratio is then 0 to 0.
    """
    if not reference.any() or not decoded.any():
        return math.nan
    a, b = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (reference, decoded))
    energy = float(a @ a)
    if energy <= 0 or float(b @ b) <= 0:
        return math.nan
    target = (a @ b) / energy * a
    noise = float(np.square(b - target).sum())
    return 10 * math.log10(max(float(target @ target), 1e-20) / max(noise, 1e-20))


def mel_distance(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of log10 mel magnitudes for windows of 2048 to 128 samples; fit for training.

    Akin to DAC's distance (`evaluation.mel`), on another scale. Magnitudes below -80 dB of full scale count
    as -80 dB, so that inaudible noise floors do not decide.
    """
    values = []
    for size in (2048, 1024, 512, 256, 128):
        a, b = (_log_mel(x, size, sample_rate) for x in (reference, decoded))
        values.append(np.abs(a - b).mean())
    return float(np.mean(values))


def log_spectral_distance(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """Root mean square difference of log power spectra in dB within a frame, then the mean over frames.

    That is Gray and Markel 1976, equation 6 with p = 2, on Hann windows of 32 ms every 8 ms. Powers below
    -80 dB of a full-scale sine count as -80 dB. NaN without samples.
    """
    if not len(reference):
        return math.nan
    size = round(0.032 * sample_rate)
    a, b = (_log_power(x, size) for x in (reference, decoded))
    return float(np.sqrt(np.square(a - b).mean(axis=1)).mean())


def _log_power(x: np.ndarray, size: int) -> np.ndarray:
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(x.astype(np.float64), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    magnitudes = np.abs(np.fft.rfft(frames * (window * 2 / window.sum())))
    return 20 * np.log10(np.maximum(magnitudes, 1e-4))


def _log_mel(x: np.ndarray, size: int, sample_rate: int) -> np.ndarray:
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(x.astype(np.float64), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    magnitudes = np.abs(np.fft.rfft(frames * (window / np.sqrt(np.square(window).sum())))).astype(np.float32)
    return np.log10(magnitudes @ _filters(size, sample_rate).T + 1e-4)


@cache
def _filters(size: int, sample_rate: int) -> np.ndarray:
    bank = librosa.filters.mel(sr=sample_rate, n_fft=size, n_mels=min(128, size // 8))
    return bank / np.maximum(bank.sum(axis=1, keepdims=True), 1e-8)


def _at_16k(x: np.ndarray, sample_rate: int) -> np.ndarray:
    return x if sample_rate == 16000 else soxr.resample(x, sample_rate, 16000, quality="VHQ")
