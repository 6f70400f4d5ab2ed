"""Typed configuration of quantizers: each is named by its parts (lookup, learning, start, upkeep, ...)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Union

from codec.errors import ConfigError


@dataclass(frozen=True)
class EuclideanConfig:
    """Nearest code by Euclidean distance between latents; codes follow an average of their latents.

    decay: of the moving averages that each code follows, per training step (EnCodec and SoundStream: 0.99).
    """

    kind: Literal["euclidean"] = "euclidean"
    decay: float = 0.99


@dataclass(frozen=True)
class CosineConfig:
    """Nearest code by angle in a low-dimensional projection; codes learn by gradient (DAC, section 3.2).

    dim: dimensions of the projection.
    codebook_weight: weight of the loss that pulls codes to latents.
    """

    kind: Literal["cosine"] = "cosine"
    dim: int = 8
    codebook_weight: float = 1.0


@dataclass(frozen=True)
class ResidualConfig:
    """Residual vector quantization: each codebook quantizes what the ones before it left over.

    n_codebooks: number of stages.
    codebook_size: entries of each codebook, 2 to 65536.
    lookup: how a stage finds its code, and how its codes learn.
    commitment: weight of the loss that pulls latents to their codes.
    dropout: probability that an item of a training batch uses a random number of codebooks instead of all.
    restart_below: a code used less than this share of uniform usage is replaced by a random latent; 0 for
        never.
    """

    n_codebooks: int = 16
    codebook_size: int = 1024
    lookup: Union[EuclideanConfig, CosineConfig] = field(default_factory=EuclideanConfig)  # noqa: UP007 (jsonargparse)
    commitment: float = 0.25
    dropout: float = 0.5
    restart_below: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.n_codebooks <= 64:
            raise ConfigError(f"n_codebooks must be between 1 and 64, not {self.n_codebooks}.")
        if not 2 <= self.codebook_size <= 65536:
            raise ConfigError(f"codebook_size must be between 2 and 65536, not {self.codebook_size}.")
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"dropout is a probability between 0 and 1, not {self.dropout}.")

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of every codebook."""
        return (self.codebook_size,) * self.n_codebooks
