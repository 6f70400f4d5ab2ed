"""What one codebook offers to the structures that are made of codebooks (residual, grouped, ...)."""

from __future__ import annotations

import torch
from torch import nn

from codec.quantize.lookup import Match


class Stage(nn.Module):
    """One codebook with its lookup and its way of learning; vectors are `[n, dim]`, codes `[n]` int64."""

    size: int
    codebook: torch.Tensor

    def search(self, x: torch.Tensor) -> torch.Tensor:
        """The code of each vector, `[n]`."""
        raise TypeError(f"{type(self).__name__} must define search(x)")

    def match(self, x: torch.Tensor) -> Match:
        """The code of each vector, with how far the vector is from getting another one."""
        raise TypeError(f"{type(self).__name__} must define match(x)")

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """What the codes stand for, `[n, dim]`."""
        raise TypeError(f"{type(self).__name__} must define vectors(codes)")

    def quantize(self, x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """The vectors of `codes` with a gradient towards x, `[n, dim]`; for training."""
        raise TypeError(f"{type(self).__name__} must define quantize(x, codes)")

    def loss(self, x: torch.Tensor, codes: torch.Tensor, commitment: float) -> torch.Tensor:
        """Loss of each vector `[n]`: pulls x to its code (commitment), and learned codes to x."""
        raise TypeError(f"{type(self).__name__} must define loss(x, codes, commitment)")

    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        """Places the codes by k-means on the vectors x."""
        raise TypeError(f"{type(self).__name__} must define start(x, generator)")

    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        """One step of whatever this codebook learns without gradient, and replacement of dead codes."""
        raise TypeError(f"{type(self).__name__} must define learn(x, codes, restart_below)")
