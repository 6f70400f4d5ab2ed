"""What one codebook offers to the structures that are made of codebooks (residual, grouped, ...)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from codec.quantize.lookup import Match, scores


class Trained(NamedTuple):
    """One training step of a codebook on n vectors.

    vectors: what the decoder sees, `[n, dim]`, with a gradient towards the input.
    codes: `[n]`, int64. loss: of each vector, `[n]`.
    """

    vectors: torch.Tensor
    codes: torch.Tensor
    loss: torch.Tensor


class Stage(nn.Module):
    """One codebook with its lookup and its way of learning; vectors are `[n, dim]`, codes `[n]` int64.

    size: entries of the codebook. has_gaps: whether `match` bounds the gaps (else they are 0).
    """

    size: int
    has_gaps: bool = True

    def search(self, x: torch.Tensor) -> torch.Tensor:
        """The code of each vector, `[n]`."""
        raise TypeError(f"{type(self).__name__} must define search(x)")

    def match(self, x: torch.Tensor) -> Match:
        """The code of each vector, with how far the vector is from getting another one."""
        return Match(self.search(x), x.new_zeros(len(x)))

    def finder(self) -> Callable[[torch.Tensor], Match]:
        """`match` of the codes as they are now, with what does not depend on vectors computed once."""
        return self.match

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """What the codes stand for, `[n, dim]`."""
        raise TypeError(f"{type(self).__name__} must define vectors(codes)")

    def all_vectors(self) -> torch.Tensor:
        """What every code stands for, `[size, dim]`."""
        device = next(iter(self.state_dict().values())).device
        return self.vectors(torch.arange(self.size, device=device))

    def distances(self, x: torch.Tensor) -> torch.Tensor:
        """Squared distances between vectors and codes as the search compares them, `[n, size]`.

        With a gradient towards vectors and, where they learn by gradient, codes.
        """
        return x.square().sum(1, keepdim=True) - 2 * scores(x, self.all_vectors())

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        """Quantizes x for training.

        Args:
            x: vectors whose gradient is the decoder's.
            anchor: the same values, through which losses reach the encoder.
            commitment: weight of the loss that pulls latents to their codes.

        Returns:
            With the gradient "nsvq", vectors whose gradient is that of the codes alone.
        """
        raise TypeError(f"{type(self).__name__} must define train_step(x, anchor, commitment)")

    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        """Places the codes by k-means on the vectors x."""
        raise TypeError(f"{type(self).__name__} must define start(x, generator)")

    def place(self, codebook: torch.Tensor, counts: torch.Tensor, x: torch.Tensor) -> None:
        """Places the codes at vectors `[size, dim]` that there are already, chosen `[size]` times by x.

        Only lookups whose codes are free vectors of the latents' space can do this.
        """
        raise TypeError(f"The codes of {type(self).__name__} are no free vectors.")

    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        """One step of whatever this codebook learns without gradient, and the upkeep of unused codes.

        x and codes are what this process chose in the step; statistics are summed over all processes.
        """
        raise TypeError(f"{type(self).__name__} must define learn(x, codes, restart_below)")

    def forget(self) -> None:
        """Starts averages, which a model's file does not hold, again from the codes as they are."""

    def figures(self) -> dict[str, torch.Tensor]:
        """What training logs of this codebook beside its usage: names and scalars."""
        return {}
