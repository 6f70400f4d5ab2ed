"""The timbre loss: what it hears of a filter, and that it does not mind what lies inside a band."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt

from codec.audio import read_audio, resample
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses
from codec.training.perceptual import PerceptualLoss
from codec.training.timbre import TimbreLoss

RATES = (8000, 16000, 44100)


def noise(rate: int, seed: int, seconds: float = 2.0) -> torch.Tensor:
    made = np.random.default_rng(seed).standard_normal(round(seconds * rate)).astype(np.float32)
    return 0.1 * torch.from_numpy(made)[None, None]


def speech() -> np.ndarray:
    audio, rate = read_audio(Path(__file__).parents[2] / "samples" / "voice_a.flac")
    return resample(audio[:1], rate, 16000)[0]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_loss_of_a_gain_is_its_logarithm(rate: int, gain: float) -> None:
    x = noise(rate, 0)
    assert float(TimbreLoss(rate)(gain * x, x)) == pytest.approx(np.log(2), rel=0.01)


@pytest.mark.parametrize("rate", RATES)
def test_other_noise_of_the_same_spectrum_is_nearly_the_same(rate: int) -> None:
    """Bands of 100 Hz hold some 30 independent values in 0.3 s, so their levels differ by 1 dB or so."""
    loss = TimbreLoss(rate)
    assert float(loss(noise(rate, 1), noise(rate, 0))) < 0.15
    assert float(loss(-noise(rate, 0).flip(-1), noise(rate, 0))) < 0.15


@pytest.mark.parametrize(("low", "high", "bands"), [(3702, 8000, 4), (0, 297, 3), (920, 1080, 1)])
def test_a_filter_is_heard_in_its_share_of_the_bands(low: float, high: float, bands: int) -> None:
    """Of the 21 bands of audio at 16 kHz; edges are whole numbers of Bark."""
    x = noise(16000, 0)
    frequency = torch.fft.rfftfreq(x.shape[-1], 1 / 16000)
    gain = torch.where((frequency >= low) & (frequency <= high), 0.5, 1.0)
    filtered = torch.fft.irfft(torch.fft.rfft(x) * gain)
    assert float(TimbreLoss(16000)(filtered, x)) == pytest.approx(bands / 21 * np.log(2), rel=0.25)


def test_it_hears_the_dullness_that_the_perceptual_loss_forgives() -> None:
    """Treble that is 10 dB too quiet, as trained for PESQ alone, against noise in the whole spectrum."""
    clean = speech()
    low = sosfilt(butter(4, 2000, fs=16000, output="sos"), clean)
    dull = torch.from_numpy((low + 10 ** (-10 / 20) * (clean - low)).astype(np.float32))[None, None]
    recorded = torch.from_numpy(clean)[None, None]
    noisy = recorded + 0.03 * noise(16000, 0, len(clean) / 16000)
    timbre, perceptual = TimbreLoss(16000), PerceptualLoss(16000)
    assert float(timbre(dull, recorded)) > 0.25
    assert float(perceptual(dull, recorded)) < 0.5 * float(perceptual(noisy, recorded))


@pytest.mark.parametrize("samples", [100, 1024, 1025, 5000])
def test_short_and_silent_items_have_finite_gradients(samples: int) -> None:
    made = torch.zeros(2, 1, samples, requires_grad=True)
    loss = TimbreLoss(16000)(made, noise(16000, 0)[..., :samples].expand(2, 1, -1))
    assert float(loss.detach()) > 0
    loss.backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()


def test_it_is_one_of_the_reconstruction_losses() -> None:
    losses = ReconstructionLosses(LossConfig(), LossWeights(mel=0, complex=0, timbre=1.0), 16000, 320)
    x = noise(16000, 0)
    assert {name: float(loss) for name, loss in losses(x, x).items()} == {"timbre": 0.0}
