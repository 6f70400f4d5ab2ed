"""The multi-period discriminator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.models.discriminators import MultiPeriodDiscriminator, PeriodConfig, PeriodDiscriminator
from codec.nn import fold_weight_norm
from tests.nn.streaming import deterministic

SMALL = PeriodConfig(periods=(2, 3, 5), channels=(2, 4, 4))


def test_every_scale_judges_rows_of_its_own_period() -> None:
    outputs = MultiPeriodDiscriminator(SMALL)(torch.randn(3, 1, 300))
    for period, (logits, features) in zip(SMALL.periods, outputs, strict=True):
        rows = 300 // period
        after = [-(-rows // 3), -(-rows // 9), -(-rows // 9)]
        assert [f.shape for f in features] == [
            (3, c, r, period) for c, r in zip((2, 4, 4), after, strict=True)
        ]
        assert logits.shape == (3, 1, after[-1], period)


@deterministic
@given(samples=st.integers(1, 200))
def test_input_of_any_length_is_judged(samples: int) -> None:
    for logits, _ in MultiPeriodDiscriminator(SMALL)(torch.randn(1, 1, samples)):
        assert logits.numel() > 0
        assert logits.isfinite().all()


def test_a_column_sees_samples_one_period_apart_only() -> None:
    torch.manual_seed(0)
    discriminator = PeriodDiscriminator(5, (2, 3))
    x = torch.randn(1, 1, 100, requires_grad=True)
    discriminator(x).logits[..., 2].sum().backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()[:, 0] % 5
    assert set(seen.tolist()) == {2}


def test_gradients_reach_the_audio_and_every_parameter() -> None:
    torch.manual_seed(0)
    discriminator = MultiPeriodDiscriminator(SMALL)
    x = torch.randn(1, 1, 300, requires_grad=True)
    torch.stack([logits.square().mean() for logits, _ in discriminator(x)]).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.9
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in discriminator.parameters())


def test_rows_of_a_batch_are_judged_alone() -> None:
    discriminator, x = MultiPeriodDiscriminator(SMALL), torch.randn(2, 1, 300)
    for both, alone in zip(discriminator(x), discriminator(x[1:]), strict=True):
        torch.testing.assert_close(both.logits[1:], alone.logits, rtol=1e-4, atol=1e-5)


def test_folding_weight_norm_changes_no_output() -> None:
    discriminator, x = MultiPeriodDiscriminator(SMALL), torch.randn(1, 1, 300)
    before = discriminator(x)
    fold_weight_norm(discriminator)
    for a, b in zip(before, discriminator(x), strict=True):
        torch.testing.assert_close(a.logits, b.logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "values", [{"periods": ()}, {"periods": (0,)}, {"channels": ()}, {"channels": (4, 0)}]
)
def test_sizes_without_meaning_are_refused(values: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigError):
        PeriodConfig(**values)
