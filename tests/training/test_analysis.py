"""Measurements of recordings, on signals whose values are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from codec.errors import AudioError
from codec.training.analysis import analyse
from codec.training.data.augment import band_limit

RATE = 16000


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    x = level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return x.astype(np.float32)


@pytest.fixture
def write(tmp_path: Path):
    def call(x: np.ndarray, rate: int = RATE, name: str = "a.wav") -> Path:
        soundfile.write(tmp_path / name, x, rate, subtype="FLOAT" if name.endswith("wav") else None)
        return tmp_path / name

    return call


@pytest.mark.parametrize("cutoff", [2000, 3400, 6000])
def test_bandwidth_is_that_of_the_content_not_of_the_rate(write, cutoff: int) -> None:
    found = analyse(write(band_limit(noise(3)[None], cutoff, RATE)[0]))
    assert found.bandwidth == pytest.approx(1.08 * cutoff, rel=0.06)
    assert analyse(write(noise(1))).bandwidth == RATE / 2


def test_bandwidth_of_an_upsampled_recording_is_that_of_its_past(write, speech: np.ndarray) -> None:
    from codec.audio import resample

    narrow = resample(resample(speech[None], RATE, 8000), 8000, 48000)
    assert 3500 < analyse(write(narrow[0], 48000)).bandwidth < 4300
    assert analyse(write(speech)).bandwidth > 7000


def test_silence_level_and_snr_are_those_of_the_parts(write) -> None:
    """Half loud, half 30 dB below it, and as much silence again."""
    loud, quiet = noise(2), noise(2, 0.1 * 10 ** (-30 / 20), 1)
    found = analyse(write(np.concatenate([loud, quiet, np.zeros(4 * RATE, np.float32)])))
    assert found.seconds == 8
    assert found.silence == pytest.approx(0.5, abs=0.01)
    assert found.level == pytest.approx(-23, abs=0.2)
    assert found.snr == pytest.approx(30, abs=1.5)
    assert analyse(write(noise(3))).snr < 3


def test_clipping_is_what_lies_flat_at_full_scale(write) -> None:
    t = np.arange(RATE) / RATE
    sine = np.sin(2 * np.pi * 50 * t)
    clipped = np.clip(2 * sine, -1, 1)
    assert analyse(write(clipped, name="a.flac")).clipping == pytest.approx(2 / 3, abs=0.01)
    assert analyse(write(0.5 * clipped)).clipping == 0
    peaks = noise(1)
    peaks[::1000] = 1.0
    assert analyse(write(peaks)).clipping == 0
    stereo = np.stack([clipped, np.zeros(RATE)], axis=1)
    assert analyse(write(stereo)).clipping == pytest.approx(1 / 3, abs=0.01)


def test_long_recordings_are_measured_as_their_parts(write) -> None:
    """More spectra than are kept, in several blocks: the sparse ones tell the same."""
    part = band_limit(noise(5)[None], 3000, RATE)[0]
    short, long = analyse(write(np.tile(part, 2))), analyse(write(np.tile(part, 20)))
    assert long.bandwidth == pytest.approx(short.bandwidth, abs=100)
    assert long.snr == pytest.approx(short.snr, abs=0.3)


@pytest.mark.parametrize("samples", [1, 10, 319, 321])
def test_very_short_recordings_and_silence_have_finite_values(write, samples: int) -> None:
    for x in (noise(1)[:samples], np.zeros(samples, np.float32)):
        found = analyse(write(x))
        assert np.isfinite(list(vars(found).values())).all()
        assert found.seconds == samples / RATE


def test_what_cannot_be_decoded_is_an_error(write, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no samples"):
        analyse(write(np.zeros(0, np.float32)))
    (tmp_path / "b.flac").write_bytes(b"nothing")
    with pytest.raises(AudioError):
        analyse(tmp_path / "b.flac")
