"""Information between codes and what they may stand for, free of the bias of small samples."""

from __future__ import annotations

import numpy as np
import pytest

from codec.errors import ConfigError
from codec.quantize.analysis import mutual_information


def test_codes_that_are_the_quantity_tell_all_of_it() -> None:
    units = np.random.default_rng(0).integers(0, 4, 20000)
    shared = mutual_information(units * 7 + 3, units)
    assert shared.most == pytest.approx(2, abs=0.01)
    assert shared.share == pytest.approx(1, abs=0.01)


def test_independent_codes_tell_nothing_though_the_plain_figure_says_otherwise() -> None:
    rng = np.random.default_rng(1)
    shared = mutual_information(rng.integers(0, 500, 3000), rng.normal(size=3000))
    assert abs(shared.bits) < 0.05
    assert shared.chance > 0.5


def test_a_channel_with_noise_tells_what_theory_says() -> None:
    """A binary symmetric channel with errors of 11 % carries half a bit."""
    rng = np.random.default_rng(2)
    sent = rng.integers(0, 2, 100_000)
    received = sent ^ (rng.random(100_000) < 0.11)
    assert mutual_information(received, sent).bits == pytest.approx(0.5, abs=0.01)


def test_frames_without_the_quantity_are_left_out() -> None:
    pitch = np.where(np.arange(4000) % 2, np.nan, np.arange(4000.0))
    codes = np.where(np.arange(4000) % 2, 7, np.arange(4000) // 500)
    assert mutual_information(codes, pitch).share > 0.98


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ConfigError, match="same length"):
        mutual_information(np.zeros(3, int), np.zeros(4))
    with pytest.raises(ConfigError, match="no frame"):
        mutual_information(np.zeros(3, int), np.full(3, np.nan))
