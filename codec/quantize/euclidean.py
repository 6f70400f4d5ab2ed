"""A codebook searched by Euclidean distance whose codes follow moving averages of their vectors."""

from __future__ import annotations

import torch

from codec.quantize.config import EuclideanConfig, Gradient, Upkeep
from codec.quantize.gradient import pass_gradient
from codec.quantize.kmeans import converged_kmeans, kmeans
from codec.quantize.lookup import Match, match, nearest
from codec.quantize.stage import Stage, Trained
from codec.quantize.upkeep import renew
from codec.quantize.usage import sum_over_ranks
from codec.variable import SKIP


class EuclideanStage(Stage):
    """Exponential-moving-average vector quantization (van den Oord et al. 2017, appendix A.1).

    `N <- g N + (1 - g) n`, `m <- g m + (1 - g) sum x`, `e = m / N`, with n and the sum over all vectors of
    the batch, and of all ranks, that chose the code. Laplace smoothing keeps N away from zero. With the
    learning "frozen" the codes stay where k-means, fitted offline to its end, has put them.

    skips: entry 0 is, and stays, zero (`quantize.prices`).
    """

    codebook: torch.Tensor
    usage: torch.Tensor
    sums: torch.Tensor

    def __init__(
        self,
        config: EuclideanConfig,
        size: int,
        dim: int,
        gradient: Gradient = "straight_through",
        upkeep: Upkeep = "restart",
        skips: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self._decay = config.decay
        self._frozen = config.learning == "frozen"
        self._gradient: Gradient = gradient
        self._upkeep: Upkeep = upkeep
        self._skips = skips
        codebook = torch.randn(size, dim) / dim**0.5
        self.register_buffer("codebook", codebook)
        # Needed to go on training, not to encode or decode.
        self.register_buffer("usage", torch.ones(size))
        self.register_buffer("sums", codebook.clone())
        self.keep_skip()

    def search(self, x: torch.Tensor) -> torch.Tensor:
        return nearest(x, self.codebook)

    def match(self, x: torch.Tensor) -> Match:
        return match(x, self.codebook)

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.codebook[codes]

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        with torch.no_grad():
            codes = self.search(x)
        chosen = self.codebook[codes]
        loss = commitment * (anchor - chosen).square().mean(1)
        return Trained(pass_gradient(self._gradient, x, chosen), codes, loss)

    @torch.no_grad()
    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        fitted = converged_kmeans if self._frozen else kmeans
        centroids, counts = fitted(x, self.size, generator=generator)
        self.place(centroids, counts, x)

    @torch.no_grad()
    def place(self, codebook: torch.Tensor, counts: torch.Tensor, x: torch.Tensor) -> None:
        self.codebook.copy_(codebook)
        # As if the averages had seen one batch of uniform size per code.
        self.usage.copy_(counts * self.size / counts.sum().clamp(min=1))
        self.usage.clamp_(min=1e-2)
        self.sums.copy_(self.codebook * self.usage[:, None])
        self.keep_skip()

    @torch.no_grad()
    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        if self._frozen:
            return
        counts = torch.bincount(codes, minlength=self.size).to(x.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, codes, x)
        sum_over_ranks(counts)
        sum_over_ranks(sums)
        if not counts.any():
            return
        self.usage.lerp_(counts, 1 - self._decay)
        self.sums.lerp_(sums, 1 - self._decay)
        total = self.usage.sum()
        smoothed = (self.usage + 1e-5) / (total + self.size * 1e-5) * total
        self.codebook.copy_(self.sums / smoothed[:, None])
        renewed = renew(self._upkeep, x, self.codebook, self.usage, restart_below, self._decay)
        if renewed is not None:
            self.codebook[renewed.codes] = renewed.vectors
            self.usage[renewed.codes] = renewed.usage
            self.sums[renewed.codes] = renewed.vectors * renewed.usage[:, None]
        self.keep_skip()

    @torch.no_grad()
    def forget(self) -> None:
        self.keep_skip()
        self.usage.fill_(1)
        self.sums.copy_(self.codebook)

    @torch.no_grad()
    def keep_skip(self) -> None:
        """Entry 0 is zero, and in use however rarely it is chosen."""
        if self._skips:
            self.codebook[SKIP], self.sums[SKIP] = 0, 0
            self.usage[SKIP] = self.usage[SKIP + 1 :].mean()
