"""The multi-scale STFT discriminator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.models.discriminators import DiscriminatorConfig, MultiScaleStftDiscriminator, StftDiscriminator
from codec.nn import fold_weight_norm
from tests.nn.streaming import deterministic

SMALL = DiscriminatorConfig(channels=4, windows=(128, 64, 32))


def scale(window: int) -> StftDiscriminator:
    return StftDiscriminator(window, channels=2, hop_ratio=4, dilations=(1, 2))


def test_every_scale_judges_every_frame_of_its_own_resolution() -> None:
    outputs = MultiScaleStftDiscriminator(SMALL)(torch.randn(3, 1, 640))
    assert len(outputs) == 3
    for window, (logits, features) in zip(SMALL.windows, outputs, strict=True):
        frames, bins = (640 - window) // (window // 4) + 1, window // 2 + 1
        assert [tuple(feature.shape[:3]) for feature in features] == [(3, 4, frames)] * 5
        assert [feature.shape[3] for feature in features[:2]] == [bins, (bins + 1) // 2]
        assert logits.shape == (3, 1, frames, features[-1].shape[3])


@deterministic
@given(samples=st.integers(1, 300))
def test_input_of_any_length_is_judged(samples: int) -> None:
    for logits, _ in MultiScaleStftDiscriminator(SMALL)(torch.randn(1, 1, samples)):
        assert logits.numel() > 0
        assert logits.isfinite().all()


@pytest.mark.parametrize("window", [64, 256])
def test_white_noise_has_the_same_level_at_every_scale(window: int) -> None:
    torch.manual_seed(0)
    power = scale(window).spectrogram(torch.randn(1, 1, 40000)).square().sum(1).mean()
    assert power.item() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("part", ["real", "imaginary"])
def test_phase_reaches_the_convolutions(part: str) -> None:
    time = torch.arange(256) / 64
    tone = torch.cos(2 * torch.pi * 8 * time) if part == "real" else torch.sin(2 * torch.pi * 8 * time)
    spectrogram = scale(64).spectrogram(tone[None, None])[0, :, :, 8].abs().mean(1)
    loud, quiet = (0, 1) if part == "real" else (1, 0)
    assert spectrogram[loud] > 100 * spectrogram[quiet]


def test_spectrum_stays_in_float32_under_autocast() -> None:
    discriminator, x = scale(64), torch.randn(1, 1, 256)
    exact = discriminator.spectrogram(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(
            discriminator.spectrogram(x.bfloat16().float()), discriminator.spectrogram(x.bfloat16())
        )
        assert torch.equal(discriminator.spectrogram(x), exact)
        assert discriminator(x).logits.dtype == torch.bfloat16


def test_discriminator_in_bfloat16_hears_bfloat16_audio() -> None:
    discriminator = scale(64).bfloat16()
    x = torch.randn(1, 1, 256).bfloat16()
    assert discriminator.spectrogram(x).dtype == torch.float32
    assert discriminator(x).logits.isfinite().all()


def test_window_is_not_part_of_a_checkpoint() -> None:
    assert not any("window" in name for name in MultiScaleStftDiscriminator(SMALL).state_dict())


def test_gradients_reach_the_audio_and_every_parameter() -> None:
    discriminator = MultiScaleStftDiscriminator(SMALL)
    x = torch.randn(1, 1, 320, requires_grad=True)
    torch.stack([logits.square().mean() for logits, _ in discriminator(x)]).sum().backward()
    assert x.grad is not None
    assert (x.grad[..., 32:-32] != 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in discriminator.parameters())


def test_rows_of_a_batch_are_judged_alone() -> None:
    discriminator, x = MultiScaleStftDiscriminator(SMALL), torch.randn(2, 1, 320)
    for both, alone in zip(discriminator(x), discriminator(x[1:]), strict=True):
        torch.testing.assert_close(both.logits[1:], alone.logits, rtol=1e-4, atol=1e-5)


def test_folding_weight_norm_changes_no_output() -> None:
    discriminator, x = MultiScaleStftDiscriminator(SMALL), torch.randn(1, 1, 320)
    before = discriminator(x)
    fold_weight_norm(discriminator)
    for a, b in zip(before, discriminator(x), strict=True):
        torch.testing.assert_close(a.logits, b.logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {"channels": 0},
        {"windows": ()},
        {"windows": (0,)},
        {"windows": (30,)},
        {"hop_ratio": 0},
        {"dilations": (0,)},
    ],
)
def test_sizes_without_meaning_are_refused(values: dict[str, int | tuple[int, ...]]) -> None:
    with pytest.raises(ConfigError):
        DiscriminatorConfig(**values)  # type: ignore[arg-type]
