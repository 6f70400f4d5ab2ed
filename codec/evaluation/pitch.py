"""How well the pitch survives: fundamental frequencies by pYIN (Mauch and Dixon 2014), and their errors."""

from __future__ import annotations

import math
from functools import cache

import librosa
import numpy as np

from codec.first_use import alone

_FRAME, _HOP = 0.064, 0.016
_LOWEST, _HIGHEST = 60.0, 500.0


def pitch(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """Fundamental frequency in Hz of every 16 ms of float `[samples]`, NaN where unvoiced.

    Looked for between 60 and 500 Hz, in steps of 10 cents (coarser ones
    would be faster, but call voiced frames unvoiced). Empty for less than one window of 64 ms.
    """
    size, hop = round(_FRAME * sample_rate), round(_HOP * sample_rate)
    if len(x) < size:
        return np.zeros(0)
    compile_alone()
    found, _, _ = librosa.pyin(
        x, fmin=_LOWEST, fmax=_HIGHEST, sr=sample_rate, frame_length=size, hop_length=hop
    )
    return found


@cache
def compile_alone() -> None:
    """Has Numba compile librosa's search; before any part of librosa that imports it, as `feature` does."""
    with alone("pitch"):
        noise = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
        librosa.pyin(noise, fmin=_LOWEST, fmax=_HIGHEST, sr=16000, frame_length=1024, hop_length=256)


def pitch_errors(reference: np.ndarray, decoded: np.ndarray) -> tuple[float, float]:
    """Errors of pitches `[frames]` (from `pitch`) of decoded speech.

    Returns:
        The mean absolute error in cents over frames that are voiced in both, NaN if there are none; and the
        percentage of frames that are voiced in only one of the two, NaN if there are no frames.
    """
    if not len(reference):
        return math.nan, math.nan
    voiced, still = ~np.isnan(reference), ~np.isnan(decoded)
    both = voiced & still
    cents = float(np.abs(1200 * np.log2(decoded[both] / reference[both])).mean()) if both.any() else math.nan
    return cents, 100 * float((voiced != still).mean())
