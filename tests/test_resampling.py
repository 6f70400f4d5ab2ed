"""Sample rate conversion: exact length, exact alignment, and no trace of how it was cut into chunks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import Resampler, output_length, resample
from codec.errors import AudioError

RATES = [8000, 11025, 16000, 16001, 22050, 24000, 44100, 48000, 96000]


def noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, samples)).astype(np.float32)


def in_chunks(x: np.ndarray, from_rate: int, to_rate: int, sizes: list[int]) -> np.ndarray:
    stream = Resampler(from_rate, to_rate, x.shape[0])
    parts, start, turn = [], 0, 0
    while start < x.shape[1]:
        size = sizes[turn % len(sizes)]
        parts.append(stream.push(x[:, start : start + size]))
        start, turn = start + size, turn + 1
    return np.concatenate([*parts, stream.flush()], axis=1)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    from_rate=st.sampled_from(RATES) | st.integers(1000, 200_000),
    to_rate=st.sampled_from(RATES) | st.integers(1000, 200_000),
    samples=st.integers(0, 5000),
    channels=st.integers(1, 3),
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=6),
)
def test_any_chunking_gives_the_same_bits_and_the_exact_length(from_rate, to_rate, samples, channels, sizes):
    x = noise(channels, samples)
    whole = resample(x, from_rate, to_rate)
    assert whole.dtype == np.float32
    assert whole.shape == (channels, math.ceil(samples * to_rate / from_rate))
    np.testing.assert_array_equal(in_chunks(x, from_rate, to_rate, sizes), whole)


@pytest.mark.parametrize("size", [1, 7, 160, 1000, 20_011])
@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44100, 16000), (16000, 44100), (48000, 16000), (8000, 16000)]
)
def test_a_longer_recording_has_the_same_bits_in_chunks_of_one_size(from_rate, to_rate, size):
    x = noise(1, 20_011)
    np.testing.assert_array_equal(in_chunks(x, from_rate, to_rate, [size]), resample(x, from_rate, to_rate))


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44100, 16000), (16000, 48000), (8000, 16000), (22050, 16001)]
)
def test_an_output_sample_is_the_signal_at_its_own_time(from_rate, to_rate):
    frequency = 440.0
    x = np.sin(2 * np.pi * frequency * np.arange(from_rate) / from_rate).astype(np.float32)[None]
    y = resample(x, from_rate, to_rate)[0]
    expected = np.sin(2 * np.pi * frequency * np.arange(len(y)) / to_rate)
    inner = slice(to_rate // 10, -to_rate // 10)  # the ends differ: outside the recording is silence
    assert np.abs(y[inner] - expected[inner]).max() < 1e-5


def test_the_last_output_is_computed_and_not_padded():
    y = resample(np.ones((1, 4411), np.float32), 44100, 16000)[0]
    assert len(y) == 1601
    assert y[-1] > 0.3


def test_every_channel_is_converted_as_if_alone():
    x = noise(3, 3000)
    together = resample(x, 44100, 16000)
    for channel in range(3):
        np.testing.assert_array_equal(
            together[channel : channel + 1], resample(x[channel : channel + 1], 44100, 16000)
        )


@pytest.mark.parametrize("samples", [0, 1, 2])
@pytest.mark.parametrize(("from_rate", "to_rate"), [(48000, 8000), (8000, 48000), (44100, 16000)])
def test_very_short_recordings_have_the_exact_length(samples, from_rate, to_rate):
    y = resample(np.ones((2, samples), np.float32), from_rate, to_rate)
    assert y.shape == (2, output_length(samples, from_rate, to_rate))


def test_silence_stays_exactly_silent():
    assert not resample(np.zeros((1, 200_000), np.float32), 44100, 16000).any()


def test_equal_rates_pass_through_and_do_not_share_memory():
    x = noise(2, 100)
    stream = Resampler(16000, 16000, 2)
    y = stream.push(x)
    np.testing.assert_array_equal(y, x)
    x[:] = 0
    assert y.any()
    assert stream.flush().shape == (2, 0)


def test_an_empty_chunk_changes_nothing():
    x = noise(1, 1000)
    stream = Resampler(44100, 16000, 1)
    parts = [stream.push(x[:, :400]), stream.push(x[:, :0]), stream.push(x[:, 400:]), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), resample(x, 44100, 16000))


@pytest.mark.parametrize("rate", [0, -8000, 768_001, 44100.5, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(AudioError, match="not possible"):
        Resampler(rate, 16000, 1)
    with pytest.raises(AudioError, match="not possible"):
        Resampler(16000, rate, 1)


def test_a_wrong_shape_is_refused():
    with pytest.raises(AudioError, match="2 channel"):
        Resampler(8000, 16000, 2).push(np.zeros((1, 10), np.float32))
    with pytest.raises(AudioError, match="shape"):
        Resampler(8000, 16000, 1).push(np.zeros(10, np.float32))


def test_a_flushed_resampler_takes_no_more():
    stream = Resampler(8000, 16000, 1)
    stream.flush()
    with pytest.raises(AudioError, match="flushed"):
        stream.push(np.zeros((1, 1), np.float32))
