"""How far steady tones stand out: what counts as one, and what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from codec.evaluation.tones import tones

RATE = 16000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.05 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def whistle(hertz: float, level: float, seconds: float = 4.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def test_the_same_has_none() -> None:
    x = noise(4.0) + whistle(3000, 0.1)
    assert tones(x, x, RATE) == 0


@pytest.mark.parametrize(("seconds", "most"), [(2.0, 1.3), (16.0, 0.5)])
def test_noise_may_be_other_noise(seconds: float, most: float) -> None:
    assert tones(noise(seconds), noise(seconds, seed=1), RATE) < most


@pytest.mark.parametrize("hertz", [1203, 3147, 6547])
def test_a_tone_beside_noise_is_heard_however_high(hertz: float) -> None:
    x = noise(4.0)
    none = tones(x, noise(4.0, seed=1), RATE)
    found = [tones(x, noise(4.0, seed=1) + whistle(hertz, level), RATE) for level in (0.003, 0.01, 0.03)]
    assert found == sorted(found)
    assert found[-1] > 2 * none


def test_a_tone_that_was_there_may_stay() -> None:
    x = noise(4.0) + whistle(3000, 0.03)
    kept = tones(x, noise(4.0, seed=1) + whistle(3000, 0.03), RATE)
    assert kept < 1
    assert tones(x, noise(4.0, seed=1), RATE) > 1.5 * kept


def test_a_filter_is_none() -> None:
    x = noise(4.0)
    assert tones(x, sosfilt(butter(2, 3000, fs=RATE, output="sos"), x), RATE) < 0.2


def test_short_signals_have_no_value() -> None:
    assert math.isnan(tones(noise(0.5), noise(0.5), RATE))
    assert not math.isnan(tones(noise(0.52), noise(0.52), RATE))
