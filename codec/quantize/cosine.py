"""A codebook searched by angle in a small projection, learned by gradient (DAC, Kumar et al. 2023, 3.2)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.quantize.config import CosineConfig
from codec.quantize.gradient import straight_through
from codec.quantize.kmeans import kmeans
from codec.quantize.lookup import Match, match, nearest
from codec.quantize.stage import Stage, Trained
from codec.quantize.usage import dead_codes, replacements, sum_over_ranks


class CosineStage(Stage):
    """`e_k*`, `k* = argmax cos(W_in x, e_k)`, decoded as `W_out e_k*`."""

    usage: torch.Tensor

    def __init__(self, config: CosineConfig, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self._codebook_weight = config.codebook_weight
        self.project = nn.Linear(dim, config.dim)
        self.unproject = nn.Linear(config.dim, dim)
        self.codebook = nn.Parameter(torch.randn(size, config.dim))
        self.register_buffer("usage", torch.ones(size))
        with torch.no_grad():
            nn.init.orthogonal_(self.project.weight)
            self.unproject.weight.copy_(self.project.weight.T)
            self.project.bias.zero_()
            self.unproject.bias.zero_()

    def search(self, x: torch.Tensor) -> torch.Tensor:
        return nearest(F.normalize(self.project(x)), F.normalize(self.codebook))

    def match(self, x: torch.Tensor) -> Match:
        projected = self.project(x)
        codes, gap = match(F.normalize(projected), F.normalize(self.codebook))
        # Cells of directions are cones, so distances to their borders grow with the vector; a step of length
        # s in x is one of at most s |W_in| in the projection.
        steepest = torch.linalg.matrix_norm(self.project.weight.double(), 2).to(x.dtype)
        return Match(codes, gap * projected.norm(dim=1) / steepest)

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.unproject(self.codebook[codes])

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        with torch.no_grad():
            codes = self.search(x)
        chosen = self.codebook[codes]
        quantized = self.unproject(straight_through(self.project(x), chosen))
        projected = self.project(anchor)
        pull_latents = (projected - chosen.detach()).square().mean(1)
        pull_codes = (projected.detach() - chosen).square().mean(1)
        return Trained(quantized, codes, commitment * pull_latents + self._codebook_weight * pull_codes)

    @torch.no_grad()
    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        centroids, counts = kmeans(self.project(x), self.size, generator=generator)
        self.codebook.copy_(centroids)
        self.usage.copy_(counts * self.size / counts.sum().clamp(min=1))

    @torch.no_grad()
    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        counts = sum_over_ranks(torch.bincount(codes, minlength=self.size).to(x.dtype))
        if not counts.any():
            return
        self.usage.lerp_(counts, 0.01)
        dead = dead_codes(self.usage, restart_below)
        if len(dead):
            self.codebook[dead] = replacements(self.project(x), self.codebook[dead])
            self.usage[dead] = self.usage.sum() / self.size
