"""Loss balancing by the gradient of each loss in the decoded audio (EnCodec, section 3.4, equation 5)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class Balancer(nn.Module):
    """`sum_i w_i / sum_j w_j * g_i / <|g_i|>` instead of the sum of gradients `g_i = dL_i / d audio`.

    `<|g_i|>` is a moving average of the norm per item of the batch. A weight is then the share of the
    gradient that its loss gets, whatever the loss's own scale.
    """

    def __init__(self, weights: Mapping[str, float], decay: float = 0.99) -> None:
        super().__init__()
        self.weights = dict(weights)
        self._decay = decay
        for name in self.weights:
            self.register_buffer(f"norm_{name}", torch.zeros(()))
            self.register_buffer(f"seen_{name}", torch.zeros(()))

    def combine(
        self, losses: Mapping[str, torch.Tensor], audio: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """A scalar whose gradient for audio `[batch, 1, samples]` is the balanced gradient / batch.

        Returns:
            The scalar to call `backward` on, and the average gradient norm of each loss before balancing.
        """
        total = torch.zeros_like(audio)
        scale = sum(self.weights[name] for name in losses)
        norms: dict[str, float] = {}
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, audio, retain_graph=True)
            norm = self._average(name, gradient.flatten(1).norm(dim=1).mean())
            norms[name] = float(norm)
            total += gradient * (self.weights[name] / scale / norm.clamp(min=1e-12))
        return (audio * total).sum() / len(audio), norms

    def _average(self, name: str, norm: torch.Tensor) -> torch.Tensor:
        average, seen = getattr(self, f"norm_{name}"), getattr(self, f"seen_{name}")
        average.mul_(self._decay).add_(norm.detach(), alpha=1 - self._decay)
        seen.mul_(self._decay).add_(1 - self._decay)
        return average / seen
