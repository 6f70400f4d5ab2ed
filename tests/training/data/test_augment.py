"""Augmentation: each part does what it says, alone, and nothing when it is off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codec.errors import ConfigError
from codec.loudness import lufs, rms_db
from codec.training.data.augment import (
    Augment,
    AugmentConfig,
    add_noise,
    band_limit,
    reverberate,
    room,
)

RATE = 16000


def noise(seconds: float = 1.0, channels: int = 1, level: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(1)
    x = level * random.standard_normal((channels, round(seconds * RATE)))
    return x.astype(np.float32)


def augmented(x: np.ndarray, seed: int = 0, **config: Any) -> np.ndarray:
    return Augment(AugmentConfig(**config), RATE)(x, np.random.default_rng(seed))


def power_db(x: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.abs(np.fft.rfft(x)) ** 2 + 1e-12)


def test_everything_off_changes_nothing() -> None:
    loud = noise(level=2.0)
    off: dict[str, Any] = {
        "speed": 0,
        "gain_db": None,
        "noise_db": None,
        "reverb": None,
        "loudness_lufs": None,
    }
    np.testing.assert_array_equal(augmented(loud, **off), loud)
    assert Augment(AugmentConfig(), RATE).speed(np.random.default_rng(0)) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"gain_db": (-6.0, 3.0)},
        {"band_limit_hz": (2000.0, 4000.0), "share": 1.0},
        {"noise_db": (5.0, 30.0), "share": 1.0},
        {"formants": 1.2, "share": 1.0},
        {"reverb": (0.1, 0.5), "share": 1.0},
        {"loudness_lufs": (-30.0, -16.0)},
        {"loudness_rms_db": (-30.0, -16.0)},
    ],
)
def test_each_is_reproducible_random_and_keeps_shape_and_peak(config: dict[str, Any]) -> None:
    for channels in (1, 2):
        x = noise(channels=channels, level=0.4)
        made = [augmented(x, seed, **config) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(made[0], made[1])
        assert not np.array_equal(made[0], made[2])
        for y in made:
            assert (y.shape, y.dtype) == (x.shape, np.float32)
            assert np.abs(y).max() <= 0.99 + 1e-6


def test_gain_is_within_its_range_and_never_clips() -> None:
    x = noise(level=0.01)
    gains = [float(rms_db(augmented(x, seed, gain_db=(-6.0, 3.0))) - rms_db(x)) for seed in range(50)]
    assert -6 <= min(gains) < -4
    assert 1 < max(gains) <= 3.001
    assert np.abs(augmented(noise(level=0.3), gain_db=(40.0, 40.0))).max() == pytest.approx(0.99)


def test_polarity_negates_about_half() -> None:
    x = noise()
    signs = [float(np.sign(np.sum(augmented(x, seed, polarity=True) * x))) for seed in range(60)]
    assert set(signs) == {-1.0, 1.0}
    assert abs(np.mean(signs)) < 0.4


def test_speed_is_within_its_factor_both_ways() -> None:
    augment = Augment(AugmentConfig(speed=1.2), RATE)
    speeds = [augment.speed(np.random.default_rng(seed)) for seed in range(100)]
    assert 1 / 1.2 <= min(speeds) < 0.9
    assert 1.1 < max(speeds) <= 1.2


def test_a_band_limit_keeps_what_is_below_and_removes_what_is_above() -> None:
    x = noise(2.0)
    y = band_limit(x, 3000, RATE)
    frequency = np.fft.rfftfreq(x.shape[1], 1 / RATE)
    change = power_db(y * np.hanning(x.shape[1]))[0] - power_db(x * np.hanning(x.shape[1]))[0]
    assert abs(np.median(change[(frequency > 50) & (frequency < 2600)])) < 0.1
    assert np.median(change[frequency > 3500]) < -60
    assert np.median(change[abs(frequency - 3000) < 30]) == pytest.approx(-6, abs=1.5)


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_its_ratio(snr: float) -> None:
    x = noise()
    y = add_noise(x, snr, np.random.default_rng(3))
    assert rms_db(x) - rms_db(y - x) == pytest.approx(snr, abs=0.05)
    assert not add_noise(np.zeros((1, 100), np.float32), snr, np.random.default_rng(3)).any()


def test_a_room_decays_by_60_db_in_its_time() -> None:
    response = room(0.4, RATE, np.random.default_rng(0))
    assert response[0] == 1
    tail = response[1:]
    assert 10 ** (-12 / 10) * 0.9 < float(np.sum(tail**2)) < 1.1
    level = [float(rms_db(part)) for part in np.array_split(tail, 8)]
    assert (level[0] - level[-1]) * 8 / 7 == pytest.approx(60, abs=3)
    click = np.zeros((1, 8000), np.float32)
    click[0, 100] = 1
    np.testing.assert_allclose(reverberate(click, response)[0, 100:6500], response[:6400], atol=1e-6)


def test_half_of_the_segments_get_what_has_a_share_of_a_half() -> None:
    x = noise(0.1)
    changed = [not np.array_equal(augmented(x, seed, noise_db=(20.0, 20.0)), x) for seed in range(100)]
    assert 0.35 < np.mean(changed) < 0.65


@pytest.mark.parametrize("rate", [48000, 44100, 16000])
def test_loudness_is_that_of_the_standard(rate: int) -> None:
    """ITU-R BS.1770: a sine of 997 Hz at full scale in one channel reads -3.01 LUFS."""
    t = np.arange(3 * rate) / rate
    sine = np.sin(2 * np.pi * 997 * t)[None]
    assert lufs(sine, rate) == pytest.approx(-3.01, abs=0.05)
    assert lufs(np.concatenate([sine, sine]), rate) == pytest.approx(0, abs=0.05)
    assert lufs(0.1 * sine, rate) == pytest.approx(-23.01, abs=0.05)
    # The high-pass and the shelf: much less at 30 Hz, 3.3 dB more at 5 kHz than at 997 Hz.
    assert lufs(np.sin(2 * np.pi * 30 * t)[None], rate) < -9
    assert lufs(np.sin(2 * np.pi * 5000 * t)[None], rate) == pytest.approx(0.3, abs=0.3)


def test_pauses_do_not_count_in_loudness() -> None:
    speech = noise(3.0)
    paused = np.concatenate([speech, np.zeros((1, 5 * RATE), np.float32)], axis=1)
    assert lufs(paused, RATE) == pytest.approx(lufs(speech, RATE), abs=0.6)
    assert rms_db(paused) < rms_db(speech) - 4


def test_loudness_is_reached_and_silence_stays_silent() -> None:
    assert lufs(augmented(noise(), loudness_lufs=-23.0), RATE) == pytest.approx(-23, abs=0.01)
    assert rms_db(augmented(noise(), loudness_rms_db=-23.0)) == pytest.approx(-23, abs=0.01)
    assert not augmented(np.zeros((1, RATE), np.float32), loudness_lufs=-23.0).any()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"speed": 0.5}, "speed"),
        ({"formants": 0.9}, "formants"),
        ({"gain_db": (3.0, -3.0)}, "gain_db"),
        ({"band_limit_hz": (0.0, 4000.0)}, "band_limit_hz"),
        ({"reverb": (-1.0, 1.0)}, "reverb"),
        ({"loudness_lufs": 23.0}, "loudness_lufs"),
        ({"loudness_lufs": -23.0, "loudness_rms_db": -20.0}, "not both"),
        ({"share": 2.0}, "share"),
    ],
)
def test_impossible_configs_are_errors(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        AugmentConfig(**wrong)
