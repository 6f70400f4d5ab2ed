"""Spectrograms as images of at most 400 x 128 points, from 0 Hz (bottom) to half the sample rate."""

from __future__ import annotations

import numpy as np

from codec.evaluation.page.png import indexed_png, ramp

COLUMNS, ROWS = 400, 128
FLOOR_DB = 70.0  # below the loudest point of the original: what is softer counts as that soft
DIFFERENCE_DB = 30.0

_WINDOW_SECONDS = 0.032
_LOUDNESS = ((8, 9, 20), (42, 24, 92), (128, 36, 124), (214, 64, 92), (250, 146, 60), (252, 246, 190))
_SIGNED = ((84, 190, 255), (34, 92, 160), (16, 18, 24), (160, 72, 20), (255, 176, 92))
_STEPS, _SIGNED_STEPS = 16, 15  # colours of an image; an odd number has one for "equal"


def spectrogram(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power in dB, float32 `[rows, columns]`, of audio `[channels, samples]`; the mean power of the channels.

    Hann windows of about 32 ms; the highest frequency is the first row. Powers that share a point are
    averaged.
    """
    n_samples = audio.shape[1]
    size = max(2 * ROWS, 1 << round(np.log2(_WINDOW_SECONDS * sample_rate)))
    columns = min(COLUMNS, max(1, 4 * n_samples // size))
    share = max(1, -(-2 * n_samples // (columns * size)))  # windows a column, at most half a window apart
    centres = ((np.arange(columns * share) + 0.5) * n_samples / (columns * share)).astype(int)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    power = np.zeros((columns * share, size // 2), np.float32)
    for channel in audio:
        padded = np.pad(channel.astype(np.float32), size // 2)
        for first in range(0, len(centres), COLUMNS):
            part = slice(first, first + COLUMNS)
            frames = np.lib.stride_tricks.sliding_window_view(padded, size)[centres[part]] * window
            power[part] += np.square(np.abs(np.fft.rfft(frames)[:, 1:])) / len(audio)
    pooled = power.reshape(columns, share, ROWS, -1).mean(axis=(1, 3)).T[::-1]
    full_scale = np.square(window.sum() / 2)  # a sine of amplitude 1 is at 0 dB
    return (10 * np.log10(pooled / full_scale + 1e-14)).astype(np.float32)


def loudness_image(db: np.ndarray, peak: float) -> bytes:
    """A PNG of a spectrogram from FLOOR_DB below peak (dark) to peak (bright)."""
    levels = (_above_floor(db, peak) * (_STEPS - 1) / FLOOR_DB).round()
    return indexed_png(levels.astype(np.uint8), ramp(_LOUDNESS, _STEPS))


def difference_image(decoded: np.ndarray, original: np.ndarray, peak: float) -> bytes:
    """A PNG of how much softer (blue) or louder (orange) the decoded one is, to DIFFERENCE_DB each way."""
    difference = _above_floor(decoded, peak) - _above_floor(original, peak)
    levels = ((np.clip(difference / DIFFERENCE_DB, -1, 1) + 1) * (_SIGNED_STEPS - 1) / 2).round()
    return indexed_png(levels.astype(np.uint8), ramp(_SIGNED, _SIGNED_STEPS))


def gradients() -> tuple[str, str]:
    """CSS gradients of both scales, from their lowest value to their highest."""
    loudness, signed = (", ".join(f"rgb{colour}" for colour in scale) for scale in (_LOUDNESS, _SIGNED))
    return f"linear-gradient(90deg, {loudness})", f"linear-gradient(90deg, {signed})"


def _above_floor(db: np.ndarray, peak: float) -> np.ndarray:
    return np.clip(db - peak + FLOOR_DB, 0, FLOOR_DB)
