"""The multi-band multi-resolution discriminator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.models.discriminators import BandConfig, BandDiscriminator, MultiBandDiscriminator
from codec.nn import fold_weight_norm
from tests.nn.streaming import deterministic

SMALL = BandConfig(windows=(256, 128), borders=(0.25, 0.5), channels=2)


def test_every_band_of_every_resolution_has_features_of_its_own() -> None:
    outputs = MultiBandDiscriminator(SMALL)(torch.randn(3, 1, 1024))
    for window, (logits, features) in zip(SMALL.windows, outputs, strict=True):
        frames, bins = (1024 - window) // (window // 4) + 1, window // 2 + 1
        assert [tuple(f.shape[:3]) for f in features] == [(3, 2, frames)] * 15
        assert sum(f.shape[3] for f in features[::5]) == bins
        assert logits.shape == (3, 1, frames, sum(f.shape[3] for f in features[4::5]))


@deterministic
@given(samples=st.integers(1, 600))
def test_input_of_any_length_is_judged(samples: int) -> None:
    for logits, _ in MultiBandDiscriminator(SMALL)(torch.randn(1, 1, samples)):
        assert logits.numel() > 0
        assert logits.isfinite().all()


def test_a_tone_moves_the_features_of_its_own_band() -> None:
    torch.manual_seed(0)
    discriminator = BandDiscriminator(256, (0.25, 0.5), 2)
    tone = torch.sin(torch.arange(1024) * torch.pi * 0.75)[None, None]
    quiet, loud = discriminator(0 * tone).features, discriminator(tone).features
    low, _, high = (float((loud[5 * i] - quiet[5 * i]).abs().mean()) for i in range(3))
    assert high > 100 * low


def test_spectrum_stays_in_float32_under_autocast() -> None:
    discriminator = MultiBandDiscriminator(SMALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = discriminator(torch.randn(1, 1, 600).bfloat16())
    assert all(logits.dtype == torch.bfloat16 and logits.isfinite().all() for logits, _ in outputs)


def test_gradients_reach_the_audio_and_every_parameter() -> None:
    torch.manual_seed(0)
    discriminator = MultiBandDiscriminator(SMALL)
    x = torch.randn(1, 1, 1024, requires_grad=True)
    torch.stack([logits.square().mean() for logits, _ in discriminator(x)]).sum().backward()
    assert x.grad is not None
    assert (x.grad[..., 64:-64] != 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in discriminator.parameters())


def test_rows_of_a_batch_are_judged_alone() -> None:
    discriminator, x = MultiBandDiscriminator(SMALL), torch.randn(2, 1, 600)
    for both, alone in zip(discriminator(x), discriminator(x[1:]), strict=True):
        torch.testing.assert_close(both.logits[1:], alone.logits, rtol=1e-4, atol=1e-5)


def test_folding_weight_norm_changes_no_output() -> None:
    discriminator, x = MultiBandDiscriminator(SMALL), torch.randn(1, 1, 600)
    before = discriminator(x)
    fold_weight_norm(discriminator)
    for a, b in zip(before, discriminator(x), strict=True):
        torch.testing.assert_close(a.logits, b.logits, rtol=0, atol=1e-6)


def test_window_is_not_part_of_a_checkpoint() -> None:
    assert not any("window" in name for name in MultiBandDiscriminator(SMALL).state_dict())


@pytest.mark.parametrize(
    "values",
    [
        {"windows": ()},
        {"windows": (32,)},
        {"windows": (130,)},
        {"channels": 0},
        {"borders": (0.5, 0.25)},
        {"borders": (0.0, 0.5)},
        {"borders": (1.0,)},
        {"borders": (float("nan"),)},
    ],
)
def test_sizes_without_meaning_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        BandConfig(**values)
