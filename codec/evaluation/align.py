"""Audio that a foreign program returned, made comparable with the recording that it was given."""

from __future__ import annotations

import numpy as np
from scipy import fft

from codec.errors import AudioError
from codec.resampling import resample

_LONGEST_LAG = 0.25
_LONGEST_CHANGE = 0.5
_SEARCHED = 30
_LEAST_CORRELATION = 0.3


def fit(decoded: np.ndarray, sample_rate: int, original: np.ndarray, original_rate: int) -> np.ndarray:
    """Decoded audio at the original's rate, position and length, float32 `[channels, samples]`.

    It is resampled, moved by the lag of up to a quarter of a second at which the two correlate best (if they
    do, by 0.3 or more), and then cut or filled with silence at its end. The level stays as it is.

    Args:
        decoded: float32 `[channels, samples]` at `sample_rate` in Hz.
        original: float32 `[channels, samples]` at `original_rate` in Hz.

    Raises:
        AudioError: another number of channels, or more than half a second longer or shorter than the
        original.
    """
    if len(decoded) != len(original):
        raise AudioError(f"it returned {len(decoded)} channel(s) for a recording of {len(original)}.")
    got, wanted = decoded.shape[1] / sample_rate, original.shape[1] / original_rate
    if abs(got - wanted) > _LONGEST_CHANGE:
        raise AudioError(f"it returned {got:.2f} s for a recording of {wanted:.2f} s.")
    x = resample(decoded, sample_rate, original_rate)
    shift = lag(x, original, round(_LONGEST_LAG * original_rate), _SEARCHED * original_rate)
    samples = original.shape[1]
    fitted = np.zeros_like(original)
    part = x[:, shift : shift + samples] if shift >= 0 else x[:, : max(0, samples + shift)]
    begin = max(0, -shift)
    fitted[:, begin : begin + part.shape[1]] = part
    return fitted


def lag(x: np.ndarray, reference: np.ndarray, longest: int, searched: int) -> int:
    """Samples by which x `[channels, samples]` is later than the reference; 0 if they do not correlate.

    longest: largest lag to consider. searched: samples, from the first sound on, that decide.
    """
    sounding = np.flatnonzero(reference.any(axis=0))
    if not len(sounding):
        return 0
    part = slice(int(sounding[0]), int(sounding[0]) + searched)
    a, b = (np.asarray(signal[:, part], dtype=np.float64).sum(axis=0) for signal in (reference, x))
    size = fft.next_fast_len(max(len(a), len(b)) + longest, real=True)
    correlation = fft.irfft(np.conj(fft.rfft(a, size)) * fft.rfft(b, size), size)
    lags = np.arange(-longest, longest + 1)
    values = correlation[lags]
    best = int(np.argmax(values))
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return int(lags[best]) if norm > 0 and values[best] / norm >= _LEAST_CORRELATION else 0
