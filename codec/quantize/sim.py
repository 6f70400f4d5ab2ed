"""A fixed random codebook behind a learned matrix: its codes all move together (SimVQ, Zhu et al. 2024)."""

from __future__ import annotations

import torch
from torch import nn

from codec.quantize.config import Gradient, SimConfig
from codec.quantize.gradient import pass_gradient
from codec.quantize.lookup import Match, match, nearest
from codec.quantize.stage import Stage, Trained

# Steps of assignment and least squares that place the matrix at the start.
_START_STEPS = 10


class SimStage(Stage):
    """`e_k = c_k W`, `c_k ~ N(0, I)` fixed, W `[dim, dim]` learned (section 4).

    A step on any code moves W and with it all codes, so none is left behind. The losses are those of the
    VQ-VAE, `w |sg(z) - e|^2 + beta |z - sg(e)|^2` per dimension; with the gradient "nsvq" without the first.
    """

    fixed: torch.Tensor

    def __init__(
        self, config: SimConfig, size: int, dim: int, gradient: Gradient = "straight_through"
    ) -> None:
        super().__init__()
        self.size = size
        self._gradient: Gradient = gradient
        self._codebook_weight = 0.0 if gradient == "nsvq" else config.codebook_weight
        self.register_buffer("fixed", torch.randn(size, dim))
        self.transform = nn.Parameter(torch.eye(dim) / dim**0.5)

    def search(self, x: torch.Tensor) -> torch.Tensor:
        return nearest(x, self.all_vectors())

    def match(self, x: torch.Tensor) -> Match:
        return match(x, self.all_vectors())

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.fixed[codes] @ self.transform

    def all_vectors(self) -> torch.Tensor:
        return self.fixed @ self.transform

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        with torch.no_grad():
            codes = self.search(x)
        chosen = self.vectors(codes)
        pull_latents = (anchor - chosen.detach()).square().mean(1)
        pull_codes = (anchor.detach() - chosen).square().mean(1)
        loss = commitment * pull_latents + self._codebook_weight * pull_codes
        return Trained(pass_gradient(self._gradient, x, chosen), codes, loss)

    @torch.no_grad()
    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        """Places W by k-means within what it can do: codes are assigned, and W fitted by least squares.

        It begins with the W that gives the codes the covariance of x.
        """
        wide = x.double()
        covariance = wide.T @ wide / len(x)
        values, directions = torch.linalg.eigh(covariance)
        self.transform.copy_((directions * values.clamp(min=0).sqrt()) @ directions.T)
        ridge = 1e-6 * torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
        fixed = self.fixed.double()
        for _ in range(_START_STEPS):
            codes = self.search(x)
            counts = torch.bincount(codes, minlength=self.size).to(wide)
            sums = torch.zeros_like(fixed).index_add_(0, codes, wide)
            normal = fixed.T @ (counts[:, None] * fixed) / len(x) + ridge
            self.transform.copy_(torch.linalg.solve(normal, fixed.T @ sums / len(x)))

    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        """Nothing: W learns by gradient."""
