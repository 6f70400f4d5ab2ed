"""What discriminators and generator learn from each other, against the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.errors import ConfigError
from codec.training.adversary import (
    Adversary,
    AdversaryConfig,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from tests.training.small import BAND, PERIOD, STFT

REAL, FAKE = [torch.tensor([2.0, 0.5])], [torch.tensor([-2.0, 0.5])]


def test_hinge_losses_are_their_formulas() -> None:
    assert float(discriminator_loss(REAL, FAKE)) == pytest.approx((0 + 0.5) / 2 + (0 + 1.5) / 2)
    assert float(adversarial_loss(FAKE)) == pytest.approx((3 + 0.5) / 2)


def test_least_squares_losses_are_their_formulas() -> None:
    expected = (1 + 0.25) / 2 + (4 + 0.25) / 2
    assert float(discriminator_loss(REAL, FAKE, "least_squares")) == pytest.approx(expected)
    assert float(adversarial_loss(FAKE, "least_squares")) == pytest.approx((9 + 0.25) / 2)


def test_losses_are_means_over_scales_of_any_size() -> None:
    scales = [torch.full((n,), value) for n, value in ((3, 0.0), (50, 1.0))]
    assert float(adversarial_loss(scales)) == pytest.approx((1 + 0) / 2)


def test_feature_matching_is_relative_to_the_real_features() -> None:
    torch.manual_seed(0)
    real = [[torch.randn(2, 3), torch.randn(4)], [torch.randn(5)]]
    fake = [[f + 0.1 * torch.randn_like(f) for f in scale] for scale in real]
    terms = [
        float((f - r).abs().mean() / r.abs().mean())
        for r, f in zip(sum(real, []), sum(fake, []), strict=True)  # noqa: RUF017
    ]
    assert float(feature_loss(real, fake)) == pytest.approx(np.mean(terms), rel=1e-5)
    louder = [[[7 * f for f in scale] for scale in features] for features in (real, fake)]
    assert float(feature_loss(*louder)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(feature_loss(real, real)) == 0


def test_all_discriminators_judge_as_one_list_of_scales() -> None:
    torch.manual_seed(0)
    adversary = Adversary(AdversaryConfig(stft=STFT, period=PERIOD, band=BAND))
    assert len(adversary(torch.randn(1, 1, 2000))) == 2 + 2 + 1


@pytest.mark.parametrize("objective", ["hinge", "least_squares"])
def test_discriminators_learn_to_tell_noise_from_tones(objective: str) -> None:
    torch.manual_seed(0)
    adversary = Adversary(AdversaryConfig(stft=STFT, period=PERIOD, band=BAND, objective=objective))  # type: ignore[arg-type]
    real = torch.sin(torch.arange(2000) * 0.3).expand(2, 1, -1)
    fake = torch.randn(2, 1, 2000, requires_grad=True)
    optimizer = torch.optim.Adam(adversary.parameters(), 2e-2)
    losses = []
    for _ in range(30):
        loss = adversary.own_loss(real, fake)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert fake.grad is None, "the generator learns nothing from the discriminators' own loss"
    told = adversary.generator_losses(real, fake, ("adversarial", "feature"))
    same = adversary.generator_losses(real, real, ("adversarial", "feature"))
    assert told["adversarial"] > same["adversarial"]
    assert told["feature"] > same["feature"] == 0


def test_only_named_losses_are_computed() -> None:
    adversary, x = Adversary(AdversaryConfig(stft=STFT)), torch.randn(1, 1, 1000)
    assert set(adversary.generator_losses(x, x, ("feature",))) == {"feature"}
    assert set(adversary.generator_losses(x, x, ("adversarial",))) == {"adversarial"}


def test_there_is_no_adversary_without_discriminators_or_a_start() -> None:
    assert not AdversaryConfig().present
    assert not AdversaryConfig(start_step=-1, stft=STFT).present
    assert AdversaryConfig(period=PERIOD).present


@pytest.mark.parametrize("values", [{"probability": 0.0}, {"probability": 1.5}, {"start_step": -2}])
def test_values_without_meaning_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        AdversaryConfig(**values)  # type: ignore[arg-type]
