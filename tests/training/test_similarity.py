"""The similarity loss against the package that measures it, and what it hears that others do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt
from visqol import VisqolApi

from codec.audio import resample
from codec.errors import ConfigError
from codec.training.intelligibility import IntelligibilityLoss
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses
from codec.training.similarity import SimilarityLoss
from tests.training.sounds import noisy, speech_at

RATES = (16000, 24000)


def dull(speech: np.ndarray) -> np.ndarray:
    low = sosfilt(butter(4, 3000, fs=16000, output="sos"), speech)
    return (low + 0.1 * (speech - low)).astype(np.float32)


def loss(decoded: np.ndarray, target: np.ndarray, rate: int) -> float:
    made, wanted = (torch.from_numpy(x)[None, None] for x in (decoded, target))
    return float(SimilarityLoss(rate)(made, wanted))


def test_it_is_one_minus_the_measure() -> None:
    speech = speech_at(16000)
    made = [noisy(speech, level) for level in (-60, -50, -40, -30, -20)]
    measure = VisqolApi()
    measure.create(mode="speech", use_lattice_model=True)
    measured = [measure.measure_from_arrays(speech.astype(float), x.astype(float), 16000).vnsim for x in made]
    assert np.ptp(measured) > 0.3
    assert [1 - loss(x, speech, 16000) for x in made] == pytest.approx(measured, abs=0.06)


@pytest.mark.parametrize("rate", RATES)
def test_it_is_nothing_for_the_same_signal(rate: int) -> None:
    speech = speech_at(rate)
    assert abs(loss(speech, speech, rate)) < 1e-5


def test_it_says_the_same_at_every_sample_rate() -> None:
    clean = {rate: speech_at(rate) for rate in RATES}
    made = {16000: noisy(clean[16000], -35)}
    made[24000] = resample(made[16000][None], 16000, 24000)[0][: len(clean[24000])]
    found = [loss(made[rate], clean[rate][: len(made[rate])], rate) for rate in RATES]
    assert found[0] > 0.1
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_it_hears_missing_treble_that_speech_is_intelligible_without() -> None:
    speech = speech_at(16000)
    made, wanted = torch.from_numpy(dull(speech))[None, None], torch.from_numpy(speech)[None, None]
    assert float(IntelligibilityLoss(16000)(made, wanted)) < 0.03
    assert loss(dull(speech), speech, 16000) > 0.05


def test_pauses_are_left_out() -> None:
    speech, pause = speech_at(16000), np.zeros(32000, np.float32)
    paused = np.concatenate([speech[:40000], pause, speech[40000:]])
    made = noisy(speech, -40)
    paused_made = np.concatenate([made[:40000], noisy(pause, -40), made[40000:]])
    assert loss(paused_made, paused, 16000) == pytest.approx(loss(made, speech, 16000), abs=0.02)


@pytest.mark.parametrize("samples", [100, 1280, 5000])
@pytest.mark.parametrize("level", [0.0, 1e-4, 0.1])
def test_short_and_silent_items_have_finite_gradients(samples: int, level: float) -> None:
    made = torch.zeros(2, 1, samples, requires_grad=True)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, samples)).astype(np.float32))
    SimilarityLoss(16000)(made, level * noise).backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()


def test_it_is_one_of_the_reconstruction_losses() -> None:
    losses = ReconstructionLosses(LossConfig(), LossWeights(mel=0, complex=0, similarity=1.0), 16000, 320)
    x = torch.from_numpy(speech_at(16000))[None, None]
    assert list(losses(x, x)) == ["similarity"]


def test_it_needs_the_bands_of_hearing() -> None:
    with pytest.raises(ConfigError, match="16000 Hz"):
        SimilarityLoss(8000)
