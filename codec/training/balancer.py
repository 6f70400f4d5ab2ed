"""How several losses of the decoded audio become one gradient: three ways.

Each takes the gradient `g_i = dL_i / d audio` of every loss and returns the joint one; the step then sends it
through the network once. Discriminators are never differentiated by their own weights on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import nn

from codec.training.ranks import mean_over_ranks

Balancing = Literal["balancer", "adaptive", "none"]


class Combined(NamedTuple):
    """The joint gradient `[batch, 1, samples]`, and figures to log: norms, shares or weights."""

    gradient: torch.Tensor
    figures: dict[str, float]


class Combiner(nn.Module):
    """Joins the gradients of losses; `weights` names every loss that may come."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)

    def combine(
        self, losses: Mapping[str, torch.Tensor], audio: torch.Tensor, last: torch.Tensor
    ) -> Combined:
        """The joint gradient.

        Args:
            losses: scalars that depend on audio.
            audio: decoded audio `[batch, 1, samples]`, part of the graph.
            last: the last weight of the decoder that made it.
        """
        raise TypeError(f"{type(self).__name__} must define combine(losses, audio, last)")


class Balancer(Combiner):
    """EnCodec's balancer (section 3.4, equation 5): `sum_i w_i / sum_j w_j * g_i / <|g_i|>`.

    `<|g_i|>` is a moving average of the norm per item of the batch. A weight is then the share of the
    gradient that its loss gets, whatever the loss's own scale. The share that each loss really had in a step,
    `w_i |g_i| / <|g_i|>` over the sum of all, is logged as `share/NAME`.
    """

    def __init__(self, weights: Mapping[str, float], decay: float = 0.99) -> None:
        super().__init__(weights)
        self._decay = decay
        for name in self.weights:
            self.register_buffer(f"norm_{name}", torch.zeros(()))
            self.register_buffer(f"seen_{name}", torch.zeros(()))

    def combine(
        self, losses: Mapping[str, torch.Tensor], audio: torch.Tensor, last: torch.Tensor
    ) -> Combined:
        """As `Combiner.combine`; the gradient is divided by the batch size, as that of a mean would be."""
        gradients = {name: _gradient(loss, audio) for name, loss in losses.items()}
        local = torch.stack([g.flatten(1).norm(dim=1).mean() for g in gradients.values()])
        norms = dict(zip(gradients, mean_over_ranks(local), strict=True))
        scale = sum(self.weights[name] for name in losses)
        total, sizes = torch.zeros_like(audio), {}
        figures: dict[str, float] = {}
        for name, gradient in gradients.items():
            usual = self._average(name, norms[name])
            factor = self.weights[name] / scale / usual.clamp(min=1e-12)
            total += gradient * factor
            sizes[name] = float(norms[name] * factor)
            figures[f"gradient/{name}"] = float(usual)
        whole = sum(sizes.values())
        figures |= {f"share/{name}": size / whole if whole else 0.0 for name, size in sizes.items()}
        return Combined(total / len(audio), figures)

    def _average(self, name: str, norm: torch.Tensor) -> torch.Tensor:
        average, seen = getattr(self, f"norm_{name}"), getattr(self, f"seen_{name}")
        # One step that is not finite would stay in the average for ever.
        if norm.isfinite():
            average.mul_(self._decay).add_(norm.detach(), alpha=1 - self._decay)
            seen.mul_(self._decay).add_(1 - self._decay)
        return average / seen.clamp(min=1e-12)


class AdaptiveWeight(Combiner):
    """VQ-GAN's adaptive weight (Esser et al. 2021, equation 7) of the adversarial loss; a plain sum else.

    `lambda = |grad_rec| / (|grad_adv| + eps)`, norms of the gradients by the decoder's last weight, at most
    1e4, where `rec` is the weighted sum of all other losses. `w lambda` is logged as `weight/adversarial`.
    """

    def combine(
        self, losses: Mapping[str, torch.Tensor], audio: torch.Tensor, last: torch.Tensor
    ) -> Combined:
        others = {name: loss for name, loss in losses.items() if name != "adversarial"}
        total = _gradient(_weighted(others, self.weights), audio)
        if "adversarial" not in losses:
            return Combined(total, {})
        judged = _gradient(losses["adversarial"], audio)
        sizes = mean_over_ranks(torch.stack([_norm_at(last, audio, g) for g in (total, judged)]))
        adaptive = (sizes[0] / (sizes[1] + 1e-6)).clamp(max=1e4)
        weight = self.weights["adversarial"] * adaptive
        return Combined(total + weight * judged, {"weight/adversarial": float(weight)})


class PlainSum(Combiner):
    """`sum_i w_i g_i`, the gradient of the weighted sum."""

    def combine(
        self, losses: Mapping[str, torch.Tensor], audio: torch.Tensor, last: torch.Tensor
    ) -> Combined:
        return Combined(_gradient(_weighted(losses, self.weights), audio), {})


def build_combiner(kind: Balancing, weights: Mapping[str, float]) -> Combiner:
    """The combiner of that name."""
    kinds: dict[Balancing, type[Combiner]] = {
        "balancer": Balancer,
        "adaptive": AdaptiveWeight,
        "none": PlainSum,
    }
    return kinds[kind](weights)


def _weighted(losses: Mapping[str, torch.Tensor], weights: Mapping[str, float]) -> torch.Tensor:
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def _gradient(loss: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(loss, audio, retain_graph=True)
    return gradient


def _norm_at(weight: torch.Tensor, audio: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    (at_weight,) = torch.autograd.grad(audio, weight, grad_outputs=gradient, retain_graph=True)
    return at_weight.norm()
