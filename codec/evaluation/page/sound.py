"""Sounds for a browser: 16-bit FLAC, and the anchor of a MUSHRA test."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from codec.resampling import resample

_PLAYABLE = range(8000, 96001)  # Hz that every browser decodes
_PASS, _STOP = 3500.0, 4000.0


def flac(audio: np.ndarray, sample_rate: int) -> bytes:
    """A FLAC file of audio float32 `[channels, samples]`, clipped to full scale.

    A sample rate that browsers do not decode becomes 48 kHz.
    """
    if sample_rate not in _PLAYABLE:
        audio, sample_rate = resample(audio, sample_rate, 48_000), 48_000
    pcm = np.clip(np.round(audio * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, pcm.T, sample_rate, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return file.getvalue()


def low_anchor(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Audio `[channels, samples]` low-passed at 3.5 kHz: the low anchor of ITU-R BS.1534-3, section 5.1.

    It asks for a passband flat to 0.1 dB, and for 25 dB of attenuation at 4 kHz and 50 dB at 4.5 kHz. The
    filter is a sinc in a Kaiser window (linear phase, delay removed) that reaches 60 dB at 4 kHz.
    """
    if sample_rate <= 2 * _PASS:
        return audio
    width = (_STOP - _PASS) / sample_rate
    half = int(np.ceil((60 - 7.95) / (14.36 * width) / 2))  # Kaiser's estimate of the length
    n = np.arange(-half, half + 1)
    cut = (_PASS + _STOP) / sample_rate
    taps = cut * np.sinc(cut * n) * np.kaiser(2 * half + 1, 0.1102 * (60 - 8.7))
    taps /= taps.sum()
    size = audio.shape[1] + 2 * half
    spectrum = np.fft.rfft(audio, size) * np.fft.rfft(taps, size)
    return np.fft.irfft(spectrum, size)[:, half : half + audio.shape[1]].astype(np.float32)
