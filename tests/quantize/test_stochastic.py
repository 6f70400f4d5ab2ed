"""SQ-VAE: the loss is its formula, and its draws become certain by themselves."""

from __future__ import annotations

import math

import torch

from codec.quantize import ResidualConfig, ResidualQuantizer, StochasticConfig
from codec.quantize.stochastic import StochasticStage


def stage(sigma: float = 0.8) -> StochasticStage:
    torch.manual_seed(0)
    made = StochasticStage(StochasticConfig(temperature=0.5), 6, 3).double()
    with torch.no_grad():
        made.log_variance.fill_(2 * math.log(sigma))
    return made


def test_the_loss_is_its_formula() -> None:
    """beta (2 sigma^2 / D) (sum P log P + |z - q|^2 / 2 sigma^2 + D/2 log sigma^2)."""
    made, x, sigma = stage().train(), torch.randn(20, 3, dtype=torch.float64), 0.8
    out = made.train_step(x, x, 0.3)
    p = torch.softmax(-torch.cdist(x, made.codebook).square() / (2 * sigma**2), 1)
    terms = (p * p.log()).sum(1) + (x - out.vectors).square().sum(1) / (2 * sigma**2) + 3 * math.log(sigma)
    torch.testing.assert_close(out.loss, 0.3 * 2 * sigma**2 / 3 * terms)


def test_draws_are_mixtures_whose_likeliest_code_has_the_probability_of_its_distance() -> None:
    made = stage().train()
    x = torch.randn(1, 3, dtype=torch.float64).expand(20_000, 3)
    out = made.train_step(x, x, 0.25)
    p = torch.softmax(-(x[0] - made.codebook).square().sum(1) / (2 * 0.8**2), 0)
    counts = torch.bincount(out.codes, minlength=6) / 20_000
    torch.testing.assert_close(counts.double(), p.detach(), rtol=0, atol=0.015)


def test_gradients_reach_latents_codes_and_sigma_without_passing_straight_through() -> None:
    made = stage().train()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(1)
    out = made.train_step(x, x, 0.25)
    upstream = torch.randn(5, 3, dtype=torch.float64)
    value = (out.vectors * upstream).sum()
    to_x, *others = torch.autograd.grad(value, (x, made.codebook, made.log_variance))
    assert all(gradient.abs().sum() > 0 for gradient in others)
    # A true derivative: that of a small step with the same draw.
    step = 1e-6 * torch.randn(5, 3, dtype=torch.float64)
    torch.manual_seed(1)
    moved = made.train_step((x + step).detach(), x, 0.25)
    change = ((moved.vectors - out.vectors) * upstream).sum().detach()
    torch.testing.assert_close(change, (to_x * step).sum(), rtol=1e-3, atol=1e-12)


def test_evaluation_takes_the_nearest_code() -> None:
    made, x = stage(sigma=5).eval(), torch.randn(50, 3, dtype=torch.float64)
    out = made.train_step(x, x, 0.25)
    assert torch.equal(out.codes, torch.cdist(x, made.codebook).argmin(1))
    torch.testing.assert_close(out.vectors, made.codebook[out.codes])


def test_sigma_falls_to_the_quantization_error_during_training() -> None:
    torch.manual_seed(0)
    config = ResidualConfig(n_codebooks=2, codebook_size=32, lookup=StochasticConfig(), dropout=0)
    made = ResidualQuantizer(config, 4)
    z = torch.randn(1, 4, 800)
    made.start(z, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(made.parameters(), 0.02)

    def sigmas() -> list[float]:
        return [float(stage.figures()["sigma"]) for stage in made._stages()]

    seen = [sigmas()]
    for _ in range(4):
        for _ in range(40):
            out = made.train()(z)
            optimizer.zero_grad()
            (out.loss + (out.latents - z).square().mean()).backward()
            optimizer.step()
        seen.append(sigmas())
    first, second = zip(*seen, strict=True)
    assert first[0] > first[1] > first[2]
    assert second[0] > second[1] > second[2]
    codes = made.eval().encode(z).codes
    error = float((z - made.decode(codes[:, :1])).detach().square().mean()) ** 0.5
    # What training draws is a mixture of codes, which may be a little nearer than the nearest code.
    assert 0.95 * error < first[-1] < 1.25 * error < 0.8 * first[0]


def test_vectors_that_are_all_codes_keep_the_loss_finite() -> None:
    """As in digital silence, where the error of quantization is zero and sigma would fall for ever."""
    torch.manual_seed(0)
    stage = StochasticStage(StochasticConfig(), 8, 3)
    x = torch.randn(8, 3).repeat(20, 1)
    stage.start(x, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(stage.parameters(), lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        made = stage.train_step(x, x, 0.25)
        made.loss.mean().backward()
        optimizer.step()
    assert made.loss.isfinite().all()
    assert made.vectors.isfinite().all()
    assert float(stage.sigma.detach()) > 0
