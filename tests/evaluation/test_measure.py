"""All metrics of a recording: those without a value say why, and disturb no other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codec.evaluation.measure import KEYS, Original
from codec.evaluation.pitch import pitch, pitch_errors

RATE = 16000


@pytest.fixture(scope="module")
def clip(speech: np.ndarray) -> np.ndarray:
    return speech[None, : 2 * RATE]


def test_a_perfect_copy_gets_the_best_of_every_metric(clip: np.ndarray) -> None:
    values, failures = Original(clip, RATE).measure(clip)
    assert not failures
    assert values["pesq_wb"] == pytest.approx(4.64, abs=0.01)
    assert values["visqol"] > 4.4
    assert values["stoi"] == pytest.approx(1)
    assert values["estoi"] == pytest.approx(1)
    assert values["si_sdr"] > 100
    assert all(values[key] == 0 for key in ("mel_distance", "log_spectral", "tones", "f0_cents", "voicing"))


def test_every_metric_is_the_mean_over_channels(clip: np.ndarray) -> None:
    noisy = clip + 0.01 * np.random.default_rng(0).standard_normal(clip.shape).astype(np.float32)
    keys = ("pesq_wb", "si_sdr", "mel_distance")
    both, _ = Original(np.concatenate([clip, clip]), RATE).measure(np.concatenate([clip, noisy]), keys)
    alone = [Original(clip, RATE).measure(x, keys)[0] for x in (clip, noisy)]
    assert both == {key: pytest.approx((alone[0][key] + alone[1][key]) / 2) for key in keys}


def test_silence_has_no_marks_but_distances(clip: np.ndarray) -> None:
    silence = np.zeros_like(clip)
    for x, y, said in ((silence, clip, "recording is silent"), (clip, silence, "decoded is silent")):
        values, failures = Original(x, RATE).measure(y)
        assert {key for key in KEYS if math.isnan(values[key])} == set(failures)
        assert set(failures) == {"pesq_wb", "visqol", "stoi", "estoi", "si_sdr", "tones", "f0_cents"}
        assert all(said in reason for reason in failures.values())


@pytest.mark.parametrize("samples", [1, 100, 800, 2000, 8000])
def test_short_clips_say_which_metrics_they_are_too_short_for(clip: np.ndarray, samples: int) -> None:
    short = clip[:, 20000 : 20000 + samples]
    values, failures = Original(short, RATE).measure(short)
    assert {key for key in KEYS if math.isnan(values[key])} == set(failures)
    assert "shorter than a second" in failures["visqol"]
    assert ("pesq_wb" in failures) == (samples < 4000)
    assert ("mel_distance" in failures) == (samples < 1025)
    assert values["log_spectral"] == 0


def test_a_channel_without_a_value_leaves_the_recording_without_it(clip: np.ndarray) -> None:
    pair = np.concatenate([clip, np.zeros_like(clip)])
    values, failures = Original(pair, RATE).measure(pair, ("stoi", "mel_distance"))
    assert math.isnan(values["stoi"])
    assert failures == {"stoi": "the recording is silent"}
    assert values["mel_distance"] == 0


def test_other_rates_are_measured_at_16_khz(clip: np.ndarray) -> None:
    from codec.resampling import resample

    noisy = clip + 0.01 * np.random.default_rng(0).standard_normal(clip.shape).astype(np.float32)
    x, y = (resample(z, RATE, 48000) for z in (clip, noisy))
    keys = ("pesq_wb", "estoi")
    for key, value in Original(clip, RATE).measure(noisy, keys)[0].items():
        assert Original(x, 48000).measure(y, keys)[0][key] == pytest.approx(value, abs=0.1)


def tone(hertz: float) -> np.ndarray:
    """A second of a buzz, as voiced as can be."""
    t = np.arange(RATE) / RATE
    harmonics = np.arange(1, 8)[:, None]
    return (0.1 * (np.sin(2 * np.pi * hertz * harmonics * t) / harmonics).sum(axis=0)).astype(np.float32)


@pytest.mark.parametrize("hertz", [100, 180, 300])
def test_the_pitch_of_a_tone_is_found_within_its_step(hertz: float) -> None:
    found = pitch(tone(hertz), RATE)
    assert np.abs(1200 * np.log2(found[5:-5] / hertz)).max() <= 15


def test_a_semitone_is_a_pitch_error_of_100_cents() -> None:
    cents, voicing = pitch_errors(*(pitch(tone(hertz), RATE) for hertz in (150, 150 * 2 ** (1 / 12))))
    assert cents == pytest.approx(100, abs=10)
    assert voicing < 5


def test_noise_for_a_tone_is_an_error_of_voicing() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    _, voicing = pitch_errors(pitch(tone(150), RATE), pitch(noise, RATE))
    assert voicing > 90
