"""Beam search where what a stage offers depends on the path: several sums are kept, the best wins at the end.

For codebooks that do not depend on it, `codec.quantize.paths` is faster and knows how safe its finding is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

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
