"""The three ways of joining gradients, each against its formula."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from codec.training.balancer import Balancer, Balancing, build_combiner

NO_WEIGHT = torch.zeros(())


def test_the_balancer_gives_every_loss_its_share() -> None:
    """sum_i w_i / W g_i / <|g_i|>, with <|g|> the average norm per item, by hand over two steps."""
    torch.manual_seed(0)
    weights, decay = {"a": 3.0, "b": 1.0}, 0.9
    balancer = Balancer(weights, decay)
    seen: dict[str, list[float]] = {"a": [], "b": []}
    for step in range(2):
        audio = torch.randn(4, 1, 10, requires_grad=True)
        losses = {"a": 1000 * (step + 1) * audio.square().mean(), "b": 0.001 * audio.abs().sum()}
        expected, parts = torch.zeros_like(audio), {}
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, audio, retain_graph=True)
            norm = float(gradient.flatten(1).norm(dim=1).mean())
            seen[name].append(norm)
            share = np.array([decay ** (step - i) for i in range(step + 1)])
            usual = float((share * seen[name]).sum() / share.sum())
            expected += weights[name] / 4 * gradient / usual / len(audio)
            parts[name] = weights[name] * norm / usual
        joined = balancer.combine(losses, audio, NO_WEIGHT)
        torch.testing.assert_close(joined.gradient, expected)
        for name, part in parts.items():
            assert joined.figures[f"share/{name}"] == pytest.approx(part / sum(parts.values()), rel=1e-4)


def test_shares_do_not_depend_on_the_losses_scales() -> None:
    torch.manual_seed(0)
    x, gradients = torch.randn(2, 1, 50), []
    for scale in (1, 1e4):
        audio = x.clone().requires_grad_()
        losses = {"a": scale * audio.square().sum(), "b": audio.sin().sum()}
        gradients.append(Balancer({"a": 1.0, "b": 1.0}).combine(losses, audio, NO_WEIGHT).gradient)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_gradient_that_is_not_finite_does_not_stay_in_the_average() -> None:
    balancer = Balancer({"a": 1.0})
    audio = torch.ones(1, 1, 5, requires_grad=True)
    for factor in (1.0, math.nan, math.inf):
        balancer.combine({"a": factor * audio.sum()}, audio, NO_WEIGHT)
    joined = balancer.combine({"a": audio.sum()}, audio, NO_WEIGHT)
    torch.testing.assert_close(joined.gradient, torch.full((1, 1, 5), 5**-0.5))


def test_the_adaptive_weight_is_its_formula() -> None:
    """|grad_rec| / |grad_adv| at the decoder's last weight, by hand."""
    torch.manual_seed(0)
    last = torch.randn(3, 4, requires_grad=True)
    audio = (torch.randn(2, 1, 3) @ last).sin()
    rec = {"mel": audio.square().mean(), "waveform": audio.abs().mean()}
    judged = 50 * audio.mean()
    combiner = build_combiner("adaptive", {"mel": 2.0, "waveform": 1.0, "adversarial": 0.5})
    joined = combiner.combine({**rec, "adversarial": judged}, audio, last)
    total = 2 * rec["mel"] + rec["waveform"]
    (by_rec,) = torch.autograd.grad(total, last, retain_graph=True)
    (by_adv,) = torch.autograd.grad(judged, last, retain_graph=True)
    weight = float(0.5 * by_rec.norm() / by_adv.norm())
    assert joined.figures["weight/adversarial"] == pytest.approx(weight, rel=1e-4)
    (expected,) = torch.autograd.grad(total + weight * judged, audio, retain_graph=True)
    torch.testing.assert_close(joined.gradient, expected)
    before = combiner.combine(rec, audio, last)
    assert before.figures == {}
    torch.testing.assert_close(before.gradient, torch.autograd.grad(total, audio)[0])


def test_the_adaptive_weight_has_a_limit() -> None:
    last = torch.ones(1, requires_grad=True)
    audio = (last * 2).view(1, 1, 1)
    losses = {"mel": 1e9 * audio.sum(), "adversarial": 1e-9 * audio.sum()}
    joined = build_combiner("adaptive", {"mel": 1.0, "adversarial": 1.0}).combine(losses, audio, last)
    assert joined.figures["weight/adversarial"] == pytest.approx(1e4)


@pytest.mark.parametrize("kind", ["balancer", "adaptive", "none"])
def test_only_the_balancer_has_a_state(kind: Balancing) -> None:
    combiner: Any = build_combiner(kind, {"mel": 1.0})
    assert bool(combiner.state_dict()) == (kind == "balancer")


def test_the_plain_sum_is_one() -> None:
    audio = torch.randn(2, 1, 6, requires_grad=True)
    losses = {"a": audio.square().sum(), "b": audio.sum()}
    joined = build_combiner("none", {"a": 2.0, "b": 3.0}).combine(losses, audio, NO_WEIGHT)
    torch.testing.assert_close(joined.gradient, 4 * audio.detach() + 3)
