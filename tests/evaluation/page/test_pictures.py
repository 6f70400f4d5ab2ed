"""Spectrograms and sounds: what is in them is what was in the audio."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from codec.errors import ConfigError
from codec.evaluation.page.png import indexed_png, ramp
from codec.evaluation.page.sound import flac, low_anchor
from codec.evaluation.page.spectrogram import COLUMNS, ROWS, difference_image, loudness_image, spectrogram


def tone(hertz: float, rate: int = 16000, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    return (level * np.sin(2 * np.pi * hertz * t)).astype(np.float32)[None]


def brightness(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int).sum(axis=2)


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 99))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_an_image_has_the_colours_it_was_given(rows: int, columns: int, seed: int) -> None:
    palette = [(17 * k, 255 - 17 * k, k) for k in range(16)]
    pixels = np.random.default_rng(seed).integers(16, size=(rows, columns)).astype(np.uint8)
    image = Image.open(io.BytesIO(indexed_png(pixels, palette)))
    assert image.size == (columns, rows)
    assert np.array_equal(np.asarray(image.convert("RGB")), np.array(palette, np.uint8)[pixels])


def test_more_colours_than_four_bits_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 16"):
        indexed_png(np.zeros((1, 1), np.uint8), ramp([(0, 0, 0), (255, 255, 255)], 17))


@pytest.mark.parametrize(("hertz", "rate"), [(1000, 16000), (6000, 16000), (1000, 44100), (200, 8000)])
def test_a_tone_is_bright_at_its_frequency_and_0_db_is_full_scale(hertz: float, rate: int) -> None:
    db = spectrogram(tone(hertz, rate, level=1.0), rate)
    assert db.shape[0] == ROWS
    assert db.shape[1] <= COLUMNS
    row = int(db[:, db.shape[1] // 2].argmax())
    assert (ROWS - row - 0.5) / ROWS * rate / 2 == pytest.approx(hertz, abs=rate / 2 / ROWS)
    # A point of the image is the mean of some bins of the transform.
    assert -10 < db.max() <= 1


@pytest.mark.parametrize("seconds", [0.001, 0.1, 5.0, 300.0])
def test_images_stay_small_however_long_the_sound(seconds: float) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, (1, round(16000 * seconds))).astype(np.float32)
    image = loudness_image(spectrogram(audio, 16000), 0.0)
    assert len(image) < 30_000


def test_the_time_of_a_click_is_its_place_in_the_image() -> None:
    audio = np.zeros((1, 64_000), np.float32)
    audio[0, 48_000] = 1.0
    db = spectrogram(audio, 16000)
    assert db.max(axis=0).argmax() / db.shape[1] == pytest.approx(0.75, abs=0.01)


def test_the_difference_is_neutral_where_both_are_equal_blue_where_sound_is_missing() -> None:
    original = spectrogram(tone(2000), 16000)
    peak = float(original.max())
    same = np.asarray(Image.open(io.BytesIO(difference_image(original, original, peak))).convert("RGB"))
    assert len(np.unique(same.reshape(-1, 3), axis=0)) == 1
    silent = spectrogram(np.zeros((1, 16000), np.float32), 16000)
    missing = np.asarray(Image.open(io.BytesIO(difference_image(silent, original, peak))).convert("RGB"))
    added = np.asarray(Image.open(io.BytesIO(difference_image(original, silent, peak))).convert("RGB"))
    row = int(original[:, 50].argmax())
    assert missing[row, 50, 2] > missing[row, 50, 0]
    assert added[row, 50, 0] > added[row, 50, 2]
    assert (
        brightness(loudness_image(original, peak))[row, 50]
        > brightness(loudness_image(silent, peak))[row, 50]
    )


def test_flac_holds_the_samples_to_16_bits_and_clips_what_is_louder() -> None:
    audio = np.concatenate([tone(440), tone(880, level=1.5)])
    heard, rate = soundfile.read(io.BytesIO(flac(audio, 16000)), dtype="float32", always_2d=True)
    assert rate == 16000
    assert np.abs(heard.T - np.clip(audio, -1, 1)).max() <= 1 / 32768


@pytest.mark.parametrize("rate", [4000, 192_000])
def test_sample_rates_that_browsers_lack_become_48_khz(rate: int) -> None:
    heard, new_rate = soundfile.read(io.BytesIO(flac(tone(440, rate), rate)), dtype="float32")
    assert (len(heard), new_rate) == (48_000, 48_000)


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
def test_the_anchor_has_the_response_that_bs_1534_asks_for(rate: int) -> None:
    click = np.zeros((1, 4096), np.float32)
    click[0, 2048] = 1.0
    made = low_anchor(click, rate)
    assert made.shape == click.shape
    assert np.abs(made).argmax() == 2048
    hertz = np.fft.rfftfreq(1 << 16, 1 / rate)
    db = 20 * np.log10(np.abs(np.fft.rfft(made[0].astype(np.float64), 1 << 16)) + 1e-12)
    assert np.abs(db[hertz <= 3500]).max() < 0.1
    assert db[hertz >= 4000].max() < -25
    assert db[hertz >= 4500].max() < -50


def test_sound_below_the_cut_off_is_its_own_anchor() -> None:
    audio = tone(440, 7000)
    assert low_anchor(audio, 7000) is audio
