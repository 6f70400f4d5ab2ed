"""A codebook that training draws from by Gumbel-softmax (Jang et al. 2017; Maddison et al. 2017)."""

from __future__ import annotations

import torch

from codec.quantize.config import GumbelConfig, Upkeep
from codec.quantize.gradient import straight_through
from codec.quantize.learned import LearnedStage
from codec.quantize.lookup import scores
from codec.quantize.stage import Trained
from codec.quantize.upkeep import USAGE_DECAY
from codec.quantize.usage import sum_over_ranks


def with_noise(logits: torch.Tensor) -> torch.Tensor:
    """Logits `[n, size]` plus Gumbel noise, `-log(-log u)`: the largest is a draw from their softmax.

    Four times as fast as the logarithm of exponential noise.
    """
    return logits - torch.rand_like(logits).log_().neg_().log_()


class GumbelStage(LearnedStage):
    """`y = softmax((l + g) / tau)`, `l = -|z - e|^2 / 2 s^2`, g Gumbel noise; the nearest code otherwise.

    The decoder sees the code that y makes likeliest, a true draw from softmax(l) whatever tau is, with the
    gradient of `y E` towards latents and codes: the decoder teaches the codes, which have no loss of their
    own. s^2 is the average squared error of the nearest code per dimension, so that the noise is as large as
    what the codebook cannot tell apart.
    """

    steps: torch.Tensor
    variance: torch.Tensor

    def __init__(self, config: GumbelConfig, size: int, dim: int, upkeep: Upkeep = "restart") -> None:
        super().__init__(size, dim, upkeep)
        self._config = config
        # Both needed to go on training, not to encode or decode.
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("variance", torch.ones(()))

    @property
    def temperature(self) -> torch.Tensor:
        """tau at this step, a scalar: from the first to the last temperature by equal factors."""
        first, last = self._config.temperatures
        done = (self.steps / max(1, self._config.anneal_steps)).clamp(max=1)
        return first * (last / first) ** done

    def figures(self) -> dict[str, torch.Tensor]:
        return {"temperature": self.temperature}

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        if self.training:
            # Copies, since `learn` changes both before the gradient is computed.
            codebook, variance = self.codebook.clone(), self.variance.clone()
            soft = torch.softmax(with_noise(scores(x, codebook) / variance) / self.temperature, 1)
            codes = soft.argmax(1)
            # The value of the code that was drawn, with its gradient and, through `soft`, that of the draw.
            mixed = soft @ codebook.detach()
            quantized = codebook[codes] + (mixed - mixed.detach())
        else:
            codes = self.search(x)
            quantized = straight_through(x, self.codebook[codes])
        loss = commitment * (anchor - quantized.detach()).square().mean(1)
        return Trained(quantized, codes, loss)

    @torch.no_grad()
    def place(self, codebook: torch.Tensor, counts: torch.Tensor, x: torch.Tensor) -> None:
        super().place(codebook, counts, x)
        error = (x - self.codebook[self.search(x)]).square().mean()
        self.variance.copy_(error.clamp(min=torch.finfo(x.dtype).tiny))

    @torch.no_grad()
    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        # Of the codes that encoding would choose, not of those that were drawn.
        found = self.search(x)
        error = sum_over_ranks((x - self.codebook[found]).square().sum().double())
        numbers = sum_over_ranks(error.new_tensor(x.numel()))
        if numbers > 0:
            self.variance.lerp_((error / numbers).to(self.variance.dtype), 1 - USAGE_DECAY)
        self.steps += 1
        super().learn(x, found, restart_below)
