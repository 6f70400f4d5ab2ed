"""What every quantizer offers to the rest of the codec, whatever it is made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Quantized(NamedTuple):
    """What a quantizer gives to training.

    latents: quantized latents `[batch, dim, frames * stride]`, with a gradient towards the input.
    codes: `[batch, codebooks, frames]`, int64.
    loss: everything that the quantizer adds to the loss (commitment, codebooks, ...), a scalar.
    counts: how often each code was chosen, `[codebooks, largest size]`.
    """

    latents: torch.Tensor
    codes: torch.Tensor
    loss: torch.Tensor
    counts: torch.Tensor


class Exact(NamedTuple):
    """Codes, and how safe they are.

    codes: `[batch, codebooks, frames]`, int64.
    gap: how far the latents of each frame may move, each by at most this Euclidean distance, before any of
        its codes changes; a lower bound, `[batch, frames]`. Zero where the quantizer cannot say.
    """

    codes: torch.Tensor
    gap: torch.Tensor


class Quantizer(nn.Module):
    """Latents `[batch, dim, frames * stride]` to codes `[batch, codebooks, frames]`, and back.

    codebook_sizes: entries of every codebook, the coarsest first.
    stride: latent frames per frame of codes. Frames of codes do not depend on each other, so a quantizer has
        no streaming state.
    has_gaps: whether `encode` bounds the gaps. The codec encodes in float64 where it does not.
    """

    codebook_sizes: tuple[int, ...]
    stride: int = 1
    has_gaps: bool = True

    def forward(self, z: torch.Tensor) -> Quantized:
        """Quantizes latents for training; in training mode codebooks learn."""
        raise TypeError(f"{type(self).__name__} must define forward(z)")

    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of the first n_codebooks (all if not given)."""
        raise TypeError(f"{type(self).__name__} must define encode(z, n_codebooks)")

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents of codes; where the structure is residual, of any prefix of the codebooks.

        Raises:
            ConfigError: a number of codebooks that does not decode.
        """
        raise TypeError(f"{type(self).__name__} must define decode(codes)")

    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Places the codebooks on latents `[batch, dim, frames * stride]`."""
        raise TypeError(f"{type(self).__name__} must define start(z, generator)")

    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of ordinary latents, a scalar."""
        raise TypeError(f"{type(self).__name__} must define typical_norm()")

    def first_equals(self) -> list[torch.Tensor]:
        """For each codebook the index of the first code that stands for the same, `[size]`.

        Which of several equal codes a search finds is chance; the codec keeps the first.
        """
        return [torch.arange(size) for size in self.codebook_sizes]
