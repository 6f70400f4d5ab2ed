"""A codebook that is drawn from with a learned variance (SQ-VAE, Takida et al. 2022)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.quantize.config import StochasticConfig, Upkeep
from codec.quantize.gradient import straight_through
from codec.quantize.gumbel import with_noise
from codec.quantize.learned import LearnedStage
from codec.quantize.lookup import scores
from codec.quantize.stage import Trained

# Log of the smallest variance: where codes meet latents exactly, as in silence, it would fall for ever.
_LEAST = -14.0


class StochasticStage(LearnedStage):
    """`P = softmax(-|z - e|^2 / 2 sigma^2)`, drawn from by Gumbel-softmax; the nearest code otherwise.

    The decoder sees the soft draw `q = y E`, whose gradient is a true one: nothing passes straight through.
    The loss of a vector of D dimensions is, with sg the stop-gradient,

        beta (2 sg(sigma^2) / D) (sum P log P + |z - q|^2 / 2 sigma^2 + (D / 2) log sigma^2)

    The first two terms are Takida et al.'s. Alone they are smallest for an infinite sigma; in the paper the
    reconstruction term, a Gaussian likelihood with a learned variance, holds against them ever more firmly
    the better the decoder becomes. A codec's spectral and adversarial losses are no likelihood, so the last
    term, the normaliser of the Gaussian around each code, does it here: sigma^2 follows the quantization
    error, and falls as codes and latents find each other. The first factor makes the pull on latents the one
    of other lookups, `beta |z - q|^2` per dimension, at any sigma.
    """

    def __init__(self, config: StochasticConfig, size: int, dim: int, upkeep: Upkeep = "restart") -> None:
        super().__init__(size, dim, upkeep)
        self._temperature = config.temperature
        self.log_variance = nn.Parameter(torch.zeros(()))

    @property
    def sigma(self) -> torch.Tensor:
        """Standard deviation of a latent around its code, in each dimension; a scalar."""
        return (self._log_variance() / 2).exp()

    def figures(self) -> dict[str, torch.Tensor]:
        return {"sigma": self.sigma.detach()}

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        # A copy, since upkeep may change the codebook before the gradient is computed.
        codebook, variance = self.codebook.clone(), self._log_variance().exp()
        if self.training:
            drawn = torch.softmax(with_noise(scores(x, codebook) / variance) / self._temperature, 1)
            codes, quantized = drawn.argmax(1), drawn @ codebook
        else:
            codes = self.search(x)
            quantized = straight_through(x, codebook[codes])
        likely = F.log_softmax(scores(anchor, codebook) / variance, dim=1)
        certainty = (likely.exp() * likely).sum(1)
        dim = x.shape[1]
        error = (anchor - quantized).square().sum(1) / (2 * variance)
        loss = certainty + error + dim / 2 * self._log_variance()
        return Trained(quantized, codes, commitment * 2 / dim * variance.detach() * loss)

    def _log_variance(self) -> torch.Tensor:
        return self.log_variance.clamp(min=_LEAST)

    @torch.no_grad()
    def place(self, codebook: torch.Tensor, counts: torch.Tensor, x: torch.Tensor) -> None:
        """Places the codes; sigma starts as wide as the latents are."""
        super().place(codebook, counts, x)
        spread = x.var(0, correction=0).mean().clamp(min=torch.finfo(x.dtype).tiny)
        self.log_variance.copy_(spread.log().clamp(min=_LEAST))

    @torch.no_grad()
    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        # Of the codes that encoding would choose, not of those that were drawn.
        super().learn(x, self.search(x), restart_below)
