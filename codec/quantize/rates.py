"""Rate-adaptive quantization (RAQ, Seo and Kang 2024): smaller codebooks out of a trained one.

The entries of a trained codebook are clustered, each weighted by how often it is used, and the means of the
clusters make a smaller codebook, with no further training. It takes the place of the last codebook of a
residual quantizer: bitrates between those of whole codebooks, by the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from codec.errors import ConfigError
from codec.quantize.base import Quantizer
from codec.quantize.lookup import Match, match, nearest
from codec.quantize.residual import ResidualQuantizer
from codec.quantize.stage import Stage
from codec.smaller import UNUSED, Assignment, merged


class FixedStage(Stage):
    """A codebook `[size, dim]` that does not learn, searched by Euclidean distance."""

    codebook: torch.Tensor

    def __init__(self, codebook: torch.Tensor) -> None:
        super().__init__()
        self.size = len(codebook)
        self.register_buffer("codebook", codebook)

    def search(self, x: torch.Tensor) -> torch.Tensor:
        return nearest(x, self.codebook)

    def match(self, x: torch.Tensor) -> Match:
        return match(x, self.codebook)

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.codebook[codes]


@torch.no_grad()
def cluster(
    codebook: torch.Tensor, usage: torch.Tensor, size: int, *, seed: int = 0, iterations: int = 50
) -> Assignment:
    """Weighted k-means of the entries of a codebook (RAQ, section 3.3, without the gradient).

    Lloyd's steps from entries drawn by their usage; an empty cluster takes the entry that weighs most in the
    error.

    Args:
        codebook: `[n, dim]`. usage: how often each entry is chosen, `[n]`. size: clusters, 2 to n.
    """
    if not 2 <= size <= len(codebook):
        raise ConfigError(f"A codebook of {len(codebook)} entries cannot become one of {size}.")
    x, weights = codebook.double(), usage.double().clamp(min=UNUSED)
    centres = x[torch.multinomial(weights, size, generator=torch.Generator().manual_seed(seed))]
    chosen = nearest(x, centres)
    for _ in range(iterations):
        counts = torch.zeros(size, dtype=x.dtype).index_add_(0, chosen, weights)
        sums = torch.zeros_like(centres).index_add_(0, chosen, x * weights[:, None])
        centres = sums / counts.clamp(min=UNUSED / 2)[:, None]
        empty = (counts == 0).nonzero()[:, 0]
        error = weights * (x - centres[chosen]).square().sum(1)
        centres[empty] = x[error.topk(len(empty)).indices]
        before, chosen = chosen, nearest(x, centres)
        if torch.equal(before, chosen):
            break
    # Equal entries may leave a cluster without any.
    return np.unique(chosen.numpy(), return_inverse=True)[1].astype(np.uint16)


def with_last(quantizer: Quantizer, codebooks: int, usage: torch.Tensor, assignment: Assignment) -> Quantizer:
    """The first codebooks of a residual quantizer, which it shares, the last of them made smaller.

    Args:
        codebooks: how many there are, the smaller one included.
        usage, assignment: of the entries of the last codebook, `[size]`.

    Raises:
        ConfigError: a quantizer that is not residual.
    """
    residual = as_residual(quantizer)
    stages = _stages(residual)[:codebooks]
    vectors = stages[-1].all_vectors()
    # On the CPU, so that it is the same everywhere.
    means = merged(vectors.detach().cpu().numpy(), usage.cpu().numpy(), assignment)
    last = FixedStage(torch.from_numpy(means).to(vectors))
    return ResidualQuantizer(residual.config, vectors.shape[1], [*stages[:-1], last]).eval()


@torch.no_grad()
def usage_of(quantizer: Quantizer, z: torch.Tensor) -> list[torch.Tensor]:
    """How often each code is chosen for latents `[batch, dim, frames]`: a tensor `[size]` a codebook."""
    codes = quantizer.encode(z).codes.cpu()
    return [
        torch.bincount(codes[:, k].reshape(-1), minlength=size)
        for k, size in enumerate(quantizer.codebook_sizes)
    ]


def smaller_codebooks(
    quantizer: Quantizer, usage: Sequence[torch.Tensor], sizes: Sequence[int], seed: int = 0
) -> list[dict[int, Assignment]]:
    """For each codebook of a residual quantizer the assignments to smaller ones, by their sizes.

    Sizes that are not below the codebook's are left out, and so are those that a codebook with many equal
    entries cannot have.
    """
    found = []
    for stage, used in zip(_stages(as_residual(quantizer)), usage, strict=True):
        vectors = stage.all_vectors().cpu()
        made = {size: cluster(vectors, used, size, seed=seed) for size in sizes if size < stage.size}
        found.append({size: part for size, part in made.items() if int(part.max()) + 1 == size})
    return found


def as_residual(quantizer: Quantizer) -> ResidualQuantizer:
    """The quantizer itself, if it is a residual one; raises ConfigError."""
    if not isinstance(quantizer, ResidualQuantizer):
        raise ConfigError("Only residual quantizers have smaller codebooks: this one has another structure.")
    return quantizer


def _stages(quantizer: ResidualQuantizer) -> list[Stage]:
    return [stage for stage in quantizer.stages if isinstance(stage, Stage)]
