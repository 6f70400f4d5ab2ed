"""What a foreign program returns is put where the recording was; what cannot be compared is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import AudioError
from codec.evaluation.align import fit
from codec.evaluation.metrics import si_sdr
from codec.resampling import resample

RATE = 16000
NOISE = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(-4000, 4000), st.sampled_from([1, 2]))
def test_a_lag_of_up_to_a_quarter_of_a_second_is_undone(lag: int, channels: int) -> None:
    x = np.pad(NOISE[:channels], ((0, 0), (4000, 4000)))
    moved = np.roll(x, lag, axis=1)
    np.testing.assert_array_equal(fit(moved, RATE, x, RATE), x)


def test_what_is_longer_is_cut_and_what_is_shorter_is_filled_up() -> None:
    longer = np.pad(NOISE, ((0, 0), (0, 500)))
    np.testing.assert_array_equal(fit(longer, RATE, NOISE, RATE), NOISE)
    shorter = fit(NOISE[:, :-500], RATE, NOISE, RATE)
    np.testing.assert_array_equal(shorter[:, :-500], NOISE[:, :-500])
    assert not shorter[:, -500:].any()


def test_the_level_stays_as_it_is() -> None:
    np.testing.assert_array_equal(fit(0.5 * NOISE, RATE, NOISE, RATE), 0.5 * NOISE)


def test_another_sample_rate_is_converted_back(speech: np.ndarray) -> None:
    x = speech[None, : 2 * RATE]
    found = fit(resample(x, RATE, 48000), 48000, x, RATE)
    assert found.shape == x.shape
    assert si_sdr(x[0], found[0]) > 35


def test_what_is_unlike_the_recording_is_not_moved() -> None:
    other = np.random.default_rng(1).standard_normal((2, RATE)).astype(np.float32)
    np.testing.assert_array_equal(fit(other, RATE, NOISE, RATE), other)
    silence = np.zeros_like(NOISE)
    np.testing.assert_array_equal(fit(other, RATE, silence, RATE), other)
    np.testing.assert_array_equal(fit(silence, RATE, NOISE, RATE), silence)


def test_other_channels_and_lengths_are_refused() -> None:
    with pytest.raises(AudioError, match=r"1 channel\(s\) for a recording of 2"):
        fit(NOISE[:1], RATE, NOISE, RATE)
    with pytest.raises(AudioError, match=r"2\.00 s for a recording of 1\.00 s"):
        fit(NOISE, RATE // 2, NOISE, RATE)
