"""Measures at their ends: identical signals, silence, and growing noise."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from codec.evaluation.metrics import mel_distance, pesq_wb, si_sdr, stoi

RATE = 16000


@pytest.fixture(scope="module")
def clip(speech: np.ndarray) -> np.ndarray:
    return speech[: 4 * RATE]


def noisy(x: np.ndarray, level: float) -> np.ndarray:
    return (x + level * np.random.default_rng(0).standard_normal(len(x))).astype(np.float32)


def test_identical_speech_gets_the_best_marks(clip: np.ndarray) -> None:
    assert pesq_wb(clip, clip, RATE) == pytest.approx(4.64, abs=0.01)
    assert stoi(clip, clip, RATE) == pytest.approx(1)
    assert mel_distance(clip, clip, RATE) == 0
    assert si_sdr(clip, clip) > 100


def test_marks_fall_with_the_noise(clip: np.ndarray) -> None:
    levels = [noisy(clip, level) for level in (1e-4, 1e-3, 1e-2, 1e-1)]
    distances = [mel_distance(clip, x, RATE) for x in levels]
    assert distances[0] > 0
    assert distances == sorted(distances)
    for measure in (pesq_wb, stoi):
        marks = [measure(clip, x, RATE) for x in levels[1:]]
        assert marks == sorted(marks, reverse=True)
        assert marks[-1] < marks[0]


def test_si_sdr_is_its_formula(clip: np.ndarray) -> None:
    decoded = noisy(clip, 0.01)
    a, b = clip - clip.mean(dtype=float), decoded - decoded.mean(dtype=float)
    target = (a @ b) / (a @ a) * a
    expected = 10 * math.log10(np.sum(target**2) / np.sum((target - b) ** 2))
    assert si_sdr(clip, decoded) == pytest.approx(expected, abs=1e-6)
    assert si_sdr(clip, -3 * decoded + 0.2) == pytest.approx(
        expected, abs=1e-3
    )  # scale and offset do not count


def test_si_sdr_of_noise_of_known_level() -> None:
    random = np.random.default_rng(0)
    x, n = random.standard_normal((2, 200_000))
    assert si_sdr(x, x + 0.1 * n) == pytest.approx(20, abs=0.1)


def test_the_mel_distance_of_a_gain_is_its_logarithm() -> None:
    x = np.random.default_rng(0).standard_normal(RATE)
    assert mel_distance(x, 2 * x, RATE) == pytest.approx(math.log10(2), rel=0.01)


def test_inaudible_noise_in_silence_does_not_count() -> None:
    silence = np.zeros(RATE, np.float32)
    assert mel_distance(silence, noisy(silence, 1e-6), RATE) < 0.01


def test_silence_has_no_marks(clip: np.ndarray) -> None:
    silence = np.zeros_like(clip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reference, decoded in ((silence, silence), (silence, clip), (clip, silence)):
            assert math.isnan(pesq_wb(reference, decoded, RATE))
            assert math.isnan(si_sdr(reference, decoded))
            assert math.isnan(stoi(reference, decoded, RATE)) == (reference is silence)


def test_clips_that_are_too_short_have_no_marks(clip: np.ndarray) -> None:
    for samples in (0, 1, 100, 3000):
        short = clip[20000 : 20000 + samples]
        assert math.isnan(pesq_wb(short, short, RATE))
        assert math.isnan(stoi(short, short, RATE))
        assert mel_distance(short, short, RATE) == 0
    assert math.isnan(si_sdr(clip[:0], clip[:0]))


def test_other_rates_are_measured_at_16_khz(clip: np.ndarray) -> None:
    from codec.audio import resample

    x, y = (resample(z[None], RATE, 48000)[0] for z in (clip, noisy(clip, 0.01)))
    assert pesq_wb(x, y, 48000) == pytest.approx(pesq_wb(clip, noisy(clip, 0.01), RATE), abs=0.1)
