"""Tests of distributions alarm when they should, and otherwise as rarely as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from codec.errors import ConfigError
from codec.quantize.analysis.distribution import _kolmogorov, _two_samples, projected_test, sliced_distance


def normal(n: int, seed: int, dim: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(99))
    return torch.randn(n, dim, generator=generator) @ mix + 3


def test_false_alarms_come_at_most_at_the_stated_level() -> None:
    """Of 100 samples of a normal distribution, tested at 10 %."""
    alarms = sum(projected_test(normal(300, seed), "normal", seed=seed).p_value < 0.1 for seed in range(100))
    assert alarms <= 18  # 10 expected at most; more than 18 by chance in 0.3 % of all cases


def test_false_alarms_of_two_samples_come_at_most_at_the_stated_level() -> None:
    alarms = sum(
        projected_test(normal(300, seed), normal(500, 1000 + seed), seed=seed).p_value < 0.1
        for seed in range(100)
    )
    assert alarms <= 18


@pytest.mark.parametrize("kind", ["heavy tails", "two clusters", "uniform"])
def test_a_planted_mismatch_is_detected(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 4, generator=generator)
    if kind == "heavy tails":
        x = x / torch.rand(3000, 1, generator=generator).clamp(min=0.05)
    if kind == "two clusters":
        x = x + 4 * torch.randint(2, (3000, 1), generator=generator)
    if kind == "uniform":
        x = torch.rand(3000, 2, generator=generator)
    assert projected_test(x, "normal").p_value < 0.001


def test_a_codebook_off_the_latents_is_detected_and_one_of_them_is_not() -> None:
    latents = normal(4000, 1)
    codebook = latents[torch.randperm(4000, generator=torch.Generator().manual_seed(2))[:500]]
    assert projected_test(codebook, latents).p_value > 0.05
    assert projected_test(codebook + 0.4 * latents.std(), latents).p_value < 0.001


def test_the_statistics_are_those_of_scipy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 200))
    ours = float(_two_samples(torch.from_numpy(a[:, None]), torch.from_numpy(b[:150, None])))
    assert ours == pytest.approx(stats.ks_2samp(a, b[:150]).statistic)
    for scaled in (0.5, 0.9, 1.36):
        assert _kolmogorov(scaled / np.sqrt(1e8), 1e8) == pytest.approx(stats.kstwobign.sf(scaled), abs=1e-4)


def test_the_loss_makes_latents_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    raw = torch.rand(512, 4, generator=generator) ** 3
    x = raw.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    before = projected_test(raw, "normal").p_value
    for _ in range(150):
        loss = sliced_distance(x, "normal", generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before < 0.001
    assert projected_test(x, "normal").p_value > 0.01
    assert float(x.detach().mean().abs()) < 0.05
    assert float(x.detach().std()) == pytest.approx(1, abs=0.1)


def test_the_loss_towards_a_sample_is_zero_at_the_sample() -> None:
    x = normal(200, 5)
    assert float(sliced_distance(x, x)) == pytest.approx(0, abs=0.01 * float(x.var()))
    assert float(sliced_distance(x + 1, x)) > 0.1


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(ConfigError, match="8 or more"):
        projected_test(torch.randn(5, 3), "normal")
    with pytest.raises(ConfigError, match="of 3 dimensions"):
        projected_test(torch.randn(50, 3), torch.randn(50, 4))
