"""Whistling: steady tones that decoded speech has and its original has not.

A decoder that has no noise to fill in what codes leave open may fill it with tones. Measures that look at
frames of 20 to 80 ms in bands of hearing take them for the noise that was there; over seconds they stand out.
"""

from __future__ import annotations

import math

import numpy as np

# Seconds; and lines on each side that a line is compared with.
FRAME, NEIGHBOURS = 0.064, 12
# Exponent on the powers of frames, so that loud ones hide less of what others hold.
EXPONENT = 0.25
# Mean square in a line that counts as silence, relative to full scale.
FLOOR = 1e-10
# Hz; below, a voice has lines of its own.
LOWEST = 1000.0
# Frames that a spectrum needs to be one of steady sound.
FRAMES = 8


def tones(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """How much lines of the spectrum stand out from their neighbours, less that in the reference, in dB.

    The root mean square over lines of 16 Hz from 1 kHz on, of spectra over the whole signals, mono float
    `[samples]`. Noise in place of other noise has 1 dB in two seconds and less in longer signals. NaN for
    signals shorter than half a second.
    """
    size = round(FRAME * sample_rate)
    if len(reference) < FRAMES * size:
        return math.nan
    more = _lines(decoded, size) - _lines(reference, size)
    ones = np.ones(2 * NEIGHBOURS + 1)
    around = np.convolve(more, ones, "same") / np.convolve(np.ones_like(more), ones, "same")
    return float(np.sqrt(np.square(more - around).mean()))


def _lines(x: np.ndarray, size: int) -> np.ndarray:
    """Levels of lines in dB, over all frames of x `[samples]`."""
    window = np.hanning(size + 1)[:-1]
    window = window / np.sqrt(np.square(window).sum() * size)
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), size)[:: size // 4]
    power = np.square(np.abs(np.fft.rfft(frames * window)[:, round(LOWEST * FRAME) : -1])) + FLOOR
    levels: np.ndarray = 10 / EXPONENT * np.log10((power**EXPONENT).mean(0))
    return levels
