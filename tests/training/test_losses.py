"""Reconstruction losses, each against its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss

from codec.errors import ConfigError
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses

CONFIG = LossConfig(windows=(512, 128), stft_windows=(512, 256))
ALL = LossWeights(stft=1.0, waveform=1.0, level=1.0)
LOSSES = ReconstructionLosses(CONFIG, ALL, 16000, 320)
NAMES = ("mel", "complex", "stft", "waveform", "level")


def test_identical_signals_have_no_loss(segments: torch.Tensor) -> None:
    assert {name: float(loss) for name, loss in LOSSES(segments, segments).items()} == dict.fromkeys(NAMES, 0)


def test_losses_grow_with_the_noise(segments: torch.Tensor) -> None:
    torch.manual_seed(0)
    noise = torch.randn_like(segments)
    made = [LOSSES(segments + level * noise, segments) for level in (1e-4, 1e-3, 1e-2, 0.1)]
    for name in NAMES:
        assert (torch.stack([losses[name] for losses in made]).diff() > 0).all(), name


def test_losses_of_silence_have_finite_gradients() -> None:
    silent = torch.zeros(1, 1, 4000, requires_grad=True)
    sum(LOSSES(silent, torch.zeros(1, 1, 4000)).values()).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_the_mel_loss_of_a_gain_is_its_logarithm() -> None:
    """Far above the floor, log(a m) - log(m) = log a in every band."""
    torch.manual_seed(0)
    x = torch.randn(1, 1, 16000)
    assert float(LOSSES(1.5 * x, x)["mel"]) == pytest.approx(np.log(1.5), rel=0.01)


def test_the_stft_loss_of_a_gain_is_its_formula() -> None:
    """Spectral convergence |a - 1| and log magnitude |log a| at every resolution."""
    torch.manual_seed(0)
    x = torch.randn(2, 1, 16000)
    assert float(LOSSES(1.5 * x, x)["stft"]) == pytest.approx(0.5 + np.log(1.5), rel=0.01)
    auraloss = MultiResolutionSTFTLoss([512, 256], [128, 64], [512, 256])
    y = torch.randn(2, 1, 16000)
    torch.testing.assert_close(LOSSES(y, x)["stft"], auraloss(y, x))


def test_the_level_loss_of_a_gain_is_its_logarithm_whatever_else_differs() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 8000)
    gains = torch.tensor([1.5, 1 / 1.5])[:, None, None]
    assert float(LOSSES(-gains * x.flip(-1), x)["level"]) == pytest.approx(np.log(1.5), rel=1e-4)


def test_the_waveform_loss_is_the_mean_distance_of_samples() -> None:
    x = torch.zeros(1, 1, 1000)
    assert float(LOSSES(x + torch.tensor([0.25, -0.75] * 500), x)["waveform"]) == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_without_weight_is_not_computed(name: str, segments: torch.Tensor) -> None:
    weights = LossWeights(**{**dict.fromkeys(NAMES, 0.0), name: 1.0})
    only = ReconstructionLosses(CONFIG, weights, 16000, 320)
    (made,) = only(0.5 * segments, segments).items()
    assert made[0] == name
    torch.testing.assert_close(made[1], LOSSES(0.5 * segments, segments)[name])
    assert (only.spectral is None) == (name in ("stft", "waveform", "level"))
    assert (only.stft is None) == (name != "stft")


def test_losses_are_in_float32_under_autocast(segments: torch.Tensor) -> None:
    x = segments[:2]
    exact = LOSSES(0.9 * x, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for name, loss in LOSSES(0.9 * x, x).items():
            assert torch.equal(loss, exact[name]), name


@pytest.mark.parametrize(
    "values", [{"windows": ()}, {"stft_windows": (30,)}, {"floor": 0.0}, {"compression": 2.0}]
)
def test_shapes_without_meaning_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LossConfig(**values)


def test_weights_without_meaning_are_refused() -> None:
    with pytest.raises(ConfigError, match="complex cannot be negative"):
        LossWeights(complex=-1.0)
    with pytest.raises(ConfigError, match="needs a weight"):
        LossWeights(mel=0.0, complex=0.0)


def test_segments_shorter_than_the_windows_are_refused() -> None:
    x = torch.zeros(1, 1, 256)
    with pytest.raises(ConfigError, match="256 samples are too short for a window of 512"):
        LOSSES(x, x)
    assert LOSSES(x.new_zeros(1, 1, 257), x.new_zeros(1, 1, 257))["mel"] == 0
