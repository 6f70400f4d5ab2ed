"""A codebook searched by angle in a small projection, learned by gradient (DAC, Kumar et al. 2023, 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from codec.quantize.config import CosineConfig, Gradient, Upkeep
from codec.quantize.gradient import pass_gradient
from codec.quantize.kmeans import kmeans
from codec.quantize.learned import LearnedStage
from codec.quantize.lookup import Match, match, nearest
from codec.quantize.projection import best_decoding, principal_axes
from codec.quantize.stage import Trained


class CosineStage(LearnedStage):
    """`e_k*`, `k* = argmax cos(W_in x, e_k)`, decoded as `W_out e_k*`."""

    def __init__(
        self,
        config: CosineConfig,
        size: int,
        dim: int,
        gradient: Gradient = "straight_through",
        upkeep: Upkeep = "restart",
    ) -> None:
        super().__init__(size, config.dim, upkeep)
        self._gradient: Gradient = gradient
        self._codebook_weight = config.codebook_weight
        self.project = nn.Linear(dim, config.dim)
        self.unproject = nn.Linear(config.dim, dim)
        with torch.no_grad():
            self.codebook.normal_()
            nn.init.orthogonal_(self.project.weight)
            self.unproject.weight.copy_(self.project.weight.T)
            self.project.bias.zero_()
            self.unproject.bias.zero_()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(x)

    def search(self, x: torch.Tensor) -> torch.Tensor:
        return nearest(F.normalize(self.project(x)), F.normalize(self.codebook))

    def match(self, x: torch.Tensor) -> Match:
        return self.finder()(x)

    def finder(self) -> Callable[[torch.Tensor], Match]:
        weight, bias = self.project.weight.detach(), self.project.bias.detach()
        directions = F.normalize(self.codebook.detach())
        # Cells of directions are cones, so distances to their borders grow with the vector; a step of length
        # s in x is one of at most s |W_in| in the projection.
        steepest = torch.linalg.matrix_norm(weight.double(), 2).to(weight.dtype)

        def find(x: torch.Tensor) -> Match:
            projected = F.linear(x, weight, bias)
            codes, gap = match(F.normalize(projected), directions)
            return Match(codes, gap * projected.norm(dim=1) / steepest)

        return find

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.unproject(self.codebook[codes])

    def distances(self, x: torch.Tensor) -> torch.Tensor:
        return 2 - 2 * F.normalize(self.project(x)) @ F.normalize(self.codebook).T

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        with torch.no_grad():
            codes = self.search(x)
        chosen = self.codebook[codes]
        quantized = self.unproject(pass_gradient(self._gradient, self.project(x), chosen))
        projected = self.project(anchor)
        pull_latents = (projected - chosen.detach()).square().mean(1)
        pull_codes = (projected.detach() - chosen).square().mean(1)
        return Trained(quantized, codes, commitment * pull_latents + self._codebook_weight * pull_codes)

    @torch.no_grad()
    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        """Projects to the principal axes of x, and places the codes by k-means of directions.

        A code has the length at which it is nearest to the vectors that choose it; k-means of the vectors
        themselves would make codes of one direction and several lengths, which angles cannot tell apart.
        """
        mean, axes, _ = principal_axes(x, self.codebook.shape[1])
        self.project.weight.copy_(axes)
        self.project.bias.copy_(-axes @ mean)
        projected = self.project(x)
        directions, _ = kmeans(F.normalize(projected), self.size, generator=generator)
        directions = F.normalize(directions)
        self.codebook.copy_(directions)
        codes = self.search(x)
        counts = torch.bincount(codes, minlength=self.size).to(x.dtype)
        along = (projected * directions[codes]).sum(1)
        lengths = torch.zeros_like(counts).index_add_(0, codes, along) / counts.clamp(min=1)
        lengths = torch.where(counts > 0, lengths, along.mean())
        self.codebook.copy_(directions * lengths.clamp(min=torch.finfo(x.dtype).tiny)[:, None])
        self.usage.copy_(counts * self.size / counts.sum().clamp(min=1))
        weight, bias = best_decoding(self.codebook[codes], x)
        self.unproject.weight.copy_(weight)
        self.unproject.bias.copy_(bias)
