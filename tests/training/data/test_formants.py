"""Moved formants: another vocal tract, the same voice source."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from codec.training.data.formants import move_formants

RATE = 16000


def vowel(pitch: float, formants: tuple[float, ...] = (700.0, 1200.0, 2600.0)) -> np.ndarray:
    """Pulses through resonances 100 Hz wide: one second, `[1, samples]`."""
    x = np.zeros(RATE)
    x[(np.arange(0, RATE - 1, RATE / pitch)).round().astype(int)] = 1
    for frequency in formants:
        radius = np.exp(-np.pi * 100 / RATE)
        x = lfilter([1.0], [1, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2], x)
    return (0.1 * x / np.abs(x).max())[None].astype(np.float32)


def peak(x: np.ndarray, low: float, high: float) -> float:
    """The frequency in Hz of the highest point of the envelope between two others."""
    frequency = np.fft.rfftfreq(x.shape[-1], 1 / RATE)
    power = np.abs(np.fft.rfft(x[0] * np.hanning(x.shape[-1]))) ** 2
    smooth = np.convolve(power, np.hanning(301), mode="same")
    inside = (frequency > low) & (frequency < high)
    return float(frequency[inside][smooth[inside].argmax()])


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_formants_move_by_the_factor(factor: float) -> None:
    moved = move_formants(vowel(100), factor, RATE)
    assert peak(moved, 2000, 3300) == pytest.approx(2600 * factor, rel=0.04)


@pytest.mark.parametrize("factor", [0.85, 1.15])
@pytest.mark.parametrize("pitch", [100, 210])
def test_the_pitch_stays(pitch: int, factor: float) -> None:
    moved = move_formants(vowel(pitch), factor, RATE)[0]
    spectrum = np.abs(np.fft.rfft(moved * np.hanning(RATE)))
    harmonics = spectrum[pitch * np.arange(1, 8)].sum()
    between = spectrum[(pitch * (np.arange(1, 8) + 0.5)).astype(int)].sum()
    assert harmonics > 100 * between


@given(
    samples=st.integers(1, 3000),
    channels=st.integers(1, 2),
    rate=st.sampled_from([8000, 16000, 44100]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_a_factor_of_one_changes_nothing(samples: int, channels: int, rate: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)
    y = move_formants(x, 1.0, rate)
    assert (y.shape, y.dtype) == (x.shape, np.float32)
    np.testing.assert_allclose(y, x, atol=1e-4)


def test_silence_stays_silent() -> None:
    assert not move_formants(np.zeros((2, 5000), np.float32), 1.3, RATE).any()
