"""Codes drawn by Gumbel-softmax: the temperature falls as planned, and evaluation takes the nearest code."""

from __future__ import annotations

import pytest
import torch

from codec.quantize import GumbelConfig, ResidualConfig, ResidualQuantizer
from codec.quantize.gumbel import GumbelStage


def stage(anneal_steps: int = 4, size: int = 8) -> GumbelStage:
    torch.manual_seed(0)
    return GumbelStage(GumbelConfig(anneal_steps=anneal_steps), size, 3)


def test_the_temperature_falls_by_equal_factors_and_then_stays() -> None:
    made, x = stage(), torch.randn(20, 3)
    seen = []
    for _ in range(7):
        seen.append(float(made.figures()["temperature"]))
        made.learn(x, made.search(x), restart_below=0)
    assert seen == pytest.approx([2, 2**0.5, 1, 0.5**0.5, 0.5, 0.5, 0.5])


def test_a_resumed_stage_goes_on_at_its_temperature() -> None:
    made, x = stage(), torch.randn(20, 3)
    made.learn(x, made.search(x), restart_below=0)
    resumed = stage()
    resumed.load_state_dict(made.state_dict())
    assert float(resumed.temperature) == pytest.approx(2**0.5)
    assert torch.equal(resumed.variance, made.variance)


def test_draws_have_the_probabilities_of_the_distances() -> None:
    made = stage(size=4).train()
    made.variance.fill_(0.5)
    x = torch.randn(1, 3)
    p = torch.softmax(-(x - made.codebook).square().sum(1) / (2 * 0.5), 0)
    drawn = made.train_step(x.expand(20_000, 3), x.expand(20_000, 3), 0.25)
    counts = torch.bincount(drawn.codes, minlength=4) / 20_000
    torch.testing.assert_close(counts, p.detach(), rtol=0, atol=0.015)
    # The decoder sees codes and no mixtures.
    torch.testing.assert_close(drawn.vectors, made.codebook[drawn.codes])


def test_evaluation_takes_the_nearest_code() -> None:
    made, x = stage().eval(), torch.randn(50, 3)
    out = made.train_step(x, x, 0.25)
    assert torch.equal(out.codes, torch.cdist(x, made.codebook).argmin(1))
    torch.testing.assert_close(out.vectors, made.codebook[out.codes])


def test_the_decoder_teaches_latents_and_codes() -> None:
    made = stage().double().train()
    x = torch.randn(30, 3, dtype=torch.float64, requires_grad=True)
    out = made.train_step(x, x, 0.25)
    to_x, to_codes = torch.autograd.grad(out.vectors.square().sum(), (x, made.codebook))
    assert (to_x.abs().sum(1) > 0).all()
    assert (to_codes.abs().sum(1) > 0).all()  # not only the ones that were drawn


def test_the_variance_becomes_the_error_of_the_nearest_codes() -> None:
    made, x = stage(), torch.randn(500, 3)
    for _ in range(1000):
        made.learn(x, made.search(x), restart_below=0)
    error = (x - made.codebook[made.search(x)]).square().mean()
    torch.testing.assert_close(made.variance, error.detach(), rtol=1e-3, atol=0)


def test_training_lowers_the_error_of_encoding() -> None:
    torch.manual_seed(0)
    config = ResidualConfig(
        n_codebooks=2, codebook_size=16, lookup=GumbelConfig(anneal_steps=150), dropout=0, upkeep="none"
    )
    made, z = ResidualQuantizer(config, 4), torch.randn(1, 4, 600)
    optimizer = torch.optim.Adam(made.parameters(), 0.02)

    def error() -> float:
        return float((made.decode(made.encode(z).codes) - z).detach().square().mean())

    before = error()
    for _ in range(150):
        out = made(z)
        optimizer.zero_grad()
        (out.loss + (out.latents - z).square().mean()).backward()
        optimizer.step()
    assert error() < 0.5 * before
