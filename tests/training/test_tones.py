"""The loss of tones: that of the measure, and what it leaves to others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.evaluation.tones import tones
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses
from codec.training.tones import TonesLoss

RATES = (8000, 16000, 24000)


def noise(rate: int, seed: int, seconds: float = 2.0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (0.05 * made).astype(np.float32)


def whistling(rate: int, level: float) -> np.ndarray:
    x = noise(rate, 1)
    return x + np.float32(level) * np.sin(2 * np.pi * 3147 * np.arange(len(x)) / rate).astype(np.float32)


def loss(decoded: np.ndarray, target: np.ndarray, rate: int) -> float:
    made, wanted = (torch.from_numpy(x)[None, None] for x in (decoded, target))
    return float(TonesLoss(rate)(made, wanted))


@pytest.mark.parametrize("rate", RATES)
def test_noise_in_place_of_noise_is_next_to_nothing(rate: int) -> None:
    assert loss(noise(rate, 1), noise(rate, 0), rate) < 1e-3


@pytest.mark.parametrize("rate", RATES)
def test_it_rises_with_the_measure(rate: int) -> None:
    made = [whistling(rate, level) for level in (0.003, 0.01, 0.03, 0.1)]
    found = [loss(x, noise(rate, 0), rate) for x in made]
    measured = [tones(noise(rate, 0), x, rate) for x in made]
    assert found == sorted(found)
    assert measured == sorted(measured)
    # All but what chance does: 3 dB of every line.
    assert all(value < (of / 10) ** 2 for value, of in zip(found, measured, strict=True))
    assert found[-1] > 0.015


def test_it_is_nothing_for_the_same_signal() -> None:
    assert loss(whistling(16000, 0.1), whistling(16000, 0.1), 16000) < 1e-9


def test_its_gradient_quietens_the_tone_and_not_the_noise() -> None:
    target = torch.from_numpy(noise(16000, 0))[None, None]
    made = torch.from_numpy(whistling(16000, 0.05))[None, None].requires_grad_()
    TonesLoss(16000)(made, target).backward()
    assert made.grad is not None
    along = torch.fft.rfft(made.grad[0, 0]) * torch.fft.rfft(made.detach()[0, 0]).conj()
    tone = 3147 * 2  # of lines half a Hz apart
    assert float(along.real.abs().argmax()) == pytest.approx(tone, abs=2)
    assert float(along.real[tone]) > 0


@pytest.mark.parametrize("samples", [100, 4000, 8191])
def test_short_items_say_nothing(samples: int) -> None:
    made = torch.zeros(2, 1, samples, requires_grad=True)
    found = TonesLoss(16000)(made, torch.from_numpy(noise(16000, 0)[:samples]).expand(2, 1, -1))
    assert float(found.detach()) == 0
    found.backward()
    assert made.grad is not None
    assert not made.grad.any()


@pytest.mark.parametrize("level", [0.0, 0.05])
def test_silence_has_finite_gradients(level: float) -> None:
    made = torch.zeros(2, 1, 16000, requires_grad=True)
    TonesLoss(16000)(made, torch.from_numpy(level * noise(16000, 0)[:16000]).expand(2, 1, -1)).backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()


def test_it_is_one_of_the_reconstruction_losses() -> None:
    losses = ReconstructionLosses(LossConfig(), LossWeights(mel=0, complex=0, tones=1.0), 16000, 320)
    x = torch.from_numpy(noise(16000, 0))[None, None]
    assert {name: float(value) for name, value in losses(x, x).items()} == {"tones": 0.0}
