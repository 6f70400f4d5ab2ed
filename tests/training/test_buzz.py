"""The loss of what buzzes with the frames: what it hears, and what it takes for chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.training.buzz import BuzzLoss
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses

CASES = [(8000, 40), (16000, 320), (24000, 480), (44100, 512)]


def noise(samples: int, seed: int, items: int = 8) -> torch.Tensor:
    made = np.random.default_rng(seed).standard_normal((items, 1, samples))
    return 0.05 * torch.from_numpy(made.astype(np.float32))


def swaying(samples: int, frame: int, decibels: float, seed: int = 1) -> torch.Tensor:
    """Noise whose level rises and falls once a frame, by so much from peak to peak."""
    level = decibels / 2 * torch.sin(2 * torch.pi * torch.arange(samples) / frame)
    return noise(samples, seed) * 10 ** (level / 20)


@pytest.mark.parametrize(("rate", "frame"), CASES)
def test_noise_in_place_of_noise_is_nothing(rate: int, frame: int) -> None:
    assert float(BuzzLoss(rate, frame)(noise(2 * rate, 1), noise(2 * rate, 0))) < 2e-4


@pytest.mark.parametrize(("rate", "frame"), [(16000, 320), (24000, 480)])
def test_what_sways_with_the_frames_is_its_square(rate: int, frame: int) -> None:
    """Of a sine from peak to peak: its mean square is an eighth of that squared."""
    loss = BuzzLoss(rate, frame)
    found = [float(loss(swaying(2 * rate, frame, db), noise(2 * rate, 0))) for db in (2.0, 6.0)]
    assert found[0] == pytest.approx(0.2**2 / 8, rel=0.2)
    assert found[1] == pytest.approx(9 * found[0], rel=0.2)


def test_what_sways_in_its_own_time_is_nothing() -> None:
    assert float(BuzzLoss(16000, 320)(swaying(32000, 277, 6.0), noise(32000, 0))) < 2e-4


def test_what_the_recording_does_as_well_is_nothing() -> None:
    loss = BuzzLoss(16000, 320)
    assert float(loss(swaying(32000, 320, 6.0, seed=2), swaying(32000, 320, 6.0))) < 4e-4


@pytest.mark.parametrize("samples", [100, 639])
def test_short_items_say_nothing(samples: int) -> None:
    made = torch.zeros(2, 1, samples, requires_grad=True)
    found = BuzzLoss(16000, 320)(made, noise(samples, 0, 2))
    assert float(found.detach()) == 0
    found.backward()
    assert made.grad is not None
    assert not made.grad.any()


@pytest.mark.parametrize("samples", [640, 641, 5000])
def test_silence_has_finite_gradients(samples: int) -> None:
    made = torch.zeros(2, 1, samples, requires_grad=True)
    BuzzLoss(16000, 320)(made, noise(samples, 0, 2)).backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()


def test_it_is_one_of_the_reconstruction_losses() -> None:
    losses = ReconstructionLosses(LossConfig(), LossWeights(mel=0, complex=0, buzz=1.0), 16000, 320)
    x = noise(32000, 0)
    assert {name: float(value) for name, value in losses(x, x).items()} == {"buzz": 0.0}
