"""The perceptual loss against the standard's own program, and what it hears and does not hear."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt

from codec.audio import read_audio, resample
from codec.errors import ConfigError
from codec.evaluation.metrics import pesq_wb
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses
from codec.training.perceptual import SHORTEST, PerceptualLoss

LOSS = PerceptualLoss(16000)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    audio, rate = read_audio(Path(__file__).parents[2] / "samples" / "voice_a.flac")
    return resample(audio[:1], rate, 16000)[0]


def loss(decoded: np.ndarray, target: np.ndarray) -> float:
    return float(LOSS(torch.from_numpy(decoded)[None, None], torch.from_numpy(target)[None, None]))


def score(decoded: np.ndarray, target: np.ndarray) -> float:
    """On the scale of P.862.2 (equation 1)."""
    return 0.999 + 4 / (1 + math.exp(-1.3669 * (4.5 - loss(decoded, target)) + 3.8224))


def noisy(speech: np.ndarray, level_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    return speech + noise * np.float32(10 ** (level_db / 20))


def multiplied(speech: np.ndarray, depth: float) -> np.ndarray:
    """Noise that follows the signal, as coarse quantization makes it."""
    noise = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    return speech * (1 + np.float32(depth) * noise)


def test_it_is_nothing_for_the_same_signal(speech: np.ndarray) -> None:
    assert loss(speech, speech) < 1e-3


def test_it_gives_the_scores_of_the_standards_program(speech: np.ndarray) -> None:
    changed = [noisy(speech, level) for level in (-70, -60, -50, -40, -30)]
    changed += [multiplied(speech, depth) for depth in (0.03, 0.1, 0.3, 1.0)]
    mine = np.array([score(x, speech) for x in changed])
    standard = np.array([pesq_wb(speech, x, 16000) for x in changed])
    assert np.ptp(standard) > 2
    assert np.abs(mine - standard).max() < 0.35
    assert np.corrcoef(mine, standard)[0, 1] > 0.98


def test_it_grows_with_noise(speech: np.ndarray) -> None:
    assert (np.diff([loss(noisy(speech, level), speech) for level in range(-80, -20, 10)]) > 0).all()


def test_what_is_added_is_worse_than_what_is_missing(speech: np.ndarray) -> None:
    low = sosfilt(butter(8, 2000, fs=16000, output="sos"), speech).astype(np.float32)
    assert loss(speech, low) > loss(low, speech) > 0


def test_it_does_not_hear_a_gain(speech: np.ndarray) -> None:
    assert loss(0.5 * speech, speech) < 0.05
    assert loss(noisy(speech, -40), speech) > 0.5


def test_silence_has_finite_gradients() -> None:
    for decoded in (torch.zeros(2, 1, 16000), 1e-6 * torch.ones(2, 1, 16000)):
        made = decoded.clone().requires_grad_()
        LOSS(made, torch.zeros(2, 1, 16000)).backward()
        assert made.grad is not None
        assert made.grad.isfinite().all()


def test_its_gradient_leads_to_a_better_score(speech: np.ndarray) -> None:
    target = torch.from_numpy(speech)[None, None]
    made = torch.from_numpy(noisy(speech, -40))[None, None].requires_grad_()
    before = pesq_wb(speech, made.detach()[0, 0].numpy(), 16000)
    for _ in range(20):
        (gradient,) = torch.autograd.grad(LOSS(made, target), made)
        with torch.no_grad():
            made -= 0.01 * made.norm() * gradient / gradient.norm()
    assert pesq_wb(speech, made.detach()[0, 0].numpy(), 16000) > before + 0.1


@pytest.mark.parametrize("rate", [22050, 24000, 44100])
def test_it_is_the_same_at_any_rate_from_16_khz_on(speech: np.ndarray, rate: int) -> None:
    measure = PerceptualLoss(rate)
    for level in (-60, -50, -40):
        made, wanted = (
            torch.from_numpy(resample(x[None], 16000, rate))[None] for x in (noisy(speech, level), speech)
        )
        # Resampling and back takes away what lies just below 8 kHz.
        assert float(measure(made, wanted)) == pytest.approx(loss(noisy(speech, level), speech), rel=0.1)


def test_it_needs_the_rate_of_wideband_speech_and_a_third_of_a_second() -> None:
    with pytest.raises(ConfigError, match="16000 Hz"):
        ReconstructionLosses(LossConfig(), LossWeights(perceptual=1.0), 8000, 320)
    losses = ReconstructionLosses(LossConfig(windows=(128,)), LossWeights(perceptual=1.0), 16000, 320)
    assert set(losses(torch.zeros(1, 1, SHORTEST), torch.zeros(1, 1, SHORTEST))) == {
        "mel",
        "complex",
        "perceptual",
    }
    with pytest.raises(ConfigError, match="too short"):
        losses(torch.zeros(1, 1, SHORTEST - 1), torch.zeros(1, 1, SHORTEST - 1))
