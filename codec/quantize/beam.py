"""Beam search: several sums of codes are kept at every stage, and the best of them wins at the end.

A greedy search takes the best code of each stage, and a code that is second best now may leave a residual
that later codes fit better (for residual quantization: Babenko and Lempitsky 2014, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from codec.quantize.base import Exact
from codec.quantize.lookup import scores

# From residuals, and the sums that left them, both [paths, dim], to the codes worth trying,
# [paths, candidates], and what they would add, [paths, candidates, dim].
Expand = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

# Numbers that a search holds at once; more vectors than fit are searched in turns.
_AT_ONCE = 1 << 23


def beam_search(x: torch.Tensor, stages: Sequence[Expand], beam: int, cost: int) -> torch.Tensor:
    """Codes `[n, stages]` whose sum is near x `[n, dim]`.

    After every stage, of all paths with all their candidates the `beam` nearest to x stay. With beam 1 this
    is a greedy search.

    Args:
        stages: what each stage offers.
        cost: numbers that `Expand` holds for each path, for the size of a turn.
    """
    turn = max(1, _AT_ONCE // (beam * max(1, cost)))
    return torch.cat([_search(part, stages, beam) for part in x.split(turn)])


def search_codebooks(z: torch.Tensor, codebooks: Sequence[torch.Tensor], beam: int) -> Exact:
    """Codes of latents `[batch, dim, frames]` from codebooks `[size, dim]` that are summed; gaps are 0."""
    batch, dim, frames = z.shape
    stages = [_codebook(codebook, beam) for codebook in codebooks]
    cost = max(len(codebook) for codebook in codebooks) + 3 * beam * dim
    codes = beam_search(z.transpose(1, 2).reshape(-1, dim), stages, beam, cost)
    return Exact(codes.reshape(batch, frames, -1).transpose(1, 2), z.new_zeros(batch, frames))


def _codebook(codebook: torch.Tensor, beam: int) -> Expand:
    """Offers the `beam` nearest codes of a fixed codebook `[size, dim]`."""

    def expand(residual: torch.Tensor, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes = scores(residual, codebook).topk(min(beam, len(codebook)), dim=1).indices
        return codes, codebook[codes]

    return expand


def _search(x: torch.Tensor, stages: Sequence[Expand], beam: int) -> torch.Tensor:
    n, dim = x.shape
    rows = torch.arange(n, device=x.device)[:, None]
    residual = x[:, None]  # [n, paths, dim]
    chosen = torch.zeros(n, 1, 0, dtype=torch.long, device=x.device)
    for expand in stages:
        paths = residual.shape[1]
        made = x[:, None] - residual
        codes, vectors = expand(residual.reshape(-1, dim), made.reshape(-1, dim))
        left = residual[:, :, None] - vectors.unflatten(0, (n, paths))  # [n, paths, candidates, dim]
        codes, candidates = codes.reshape(n, -1), left.shape[2]
        errors = left.square().sum(3).flatten(1)
        best = errors.topk(min(beam, errors.shape[1]), dim=1, largest=False).indices
        residual = left.flatten(1, 2)[rows, best]
        chosen = torch.cat([chosen[rows, best // candidates], codes[rows, best][..., None]], dim=2)
    # `topk` sorts, so the first path is the best.
    return chosen[:, 0]
