"""The intelligibility loss against the package that measures it, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.errors import ConfigError
from codec.evaluation.metrics import stoi
from codec.training.intelligibility import IntelligibilityLoss
from tests.training.sounds import noisy, speech_at

RATES = (16000, 24000)


def loss(decoded: np.ndarray, target: np.ndarray, rate: int) -> float:
    made, wanted = (torch.from_numpy(x)[None, None] for x in (decoded, target))
    return float(IntelligibilityLoss(rate)(made, wanted))


@pytest.mark.parametrize("rate", RATES)
def test_it_is_one_minus_the_measure(rate: int) -> None:
    speech = speech_at(rate)
    levels = (-50, -40, -30, -20, -10)
    measured = [stoi(speech, noisy(speech, level), rate) for level in levels]
    assert np.ptp(measured) > 0.3
    assert [1 - loss(noisy(speech, level), speech, rate) for level in levels] == pytest.approx(
        measured, abs=0.02
    )


@pytest.mark.parametrize("rate", RATES)
def test_it_is_nothing_for_the_same_signal_at_any_level(rate: int) -> None:
    speech = speech_at(rate)
    assert loss(speech, speech, rate) < 1e-3
    assert loss(0.3 * speech, speech, rate) < 1e-3


def test_pauses_are_left_out() -> None:
    speech = speech_at(16000)
    pause = np.zeros(32000, np.float32)
    paused = np.concatenate([speech[:40000], pause, speech[40000:]])
    made = noisy(speech, -30)
    paused_made = np.concatenate([made[:40000], noisy(pause, -30), made[40000:]])
    assert loss(paused_made, paused, 16000) == pytest.approx(loss(made, speech, 16000), abs=0.01)


@pytest.mark.parametrize("samples", [1000, 6000, 16000])
def test_items_without_speech_say_nothing(samples: int) -> None:
    made = (1e-3 * torch.ones(2, 1, samples)).requires_grad_()
    found = IntelligibilityLoss(16000)(made, torch.zeros(2, 1, samples))
    assert float(found.detach()) == 0
    found.backward()
    assert made.grad is not None
    assert not made.grad.any()


def test_an_item_with_speech_is_not_diluted_by_one_without() -> None:
    speech = torch.from_numpy(speech_at(16000)[None, None])
    made = torch.from_numpy(noisy(speech[0, 0].numpy(), -30)[None, None])
    measure = IntelligibilityLoss(16000)
    both = measure(torch.cat([made, made]), torch.cat([speech, torch.zeros_like(speech)]))
    assert float(both) == pytest.approx(float(measure(made, speech)), rel=1e-4)


def test_it_needs_the_bands_of_speech() -> None:
    with pytest.raises(ConfigError, match="10000 Hz"):
        IntelligibilityLoss(8000)
