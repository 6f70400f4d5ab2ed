"""How often codes are used: sums over processes, dead codes, and what tells a codebook's health."""

from __future__ import annotations

import torch
from torch import distributed


def sum_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """Sum of x over all training processes, in place; x itself when there is one process."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(x)
    return x


def dead_codes(usage: torch.Tensor, restart_below: float) -> torch.Tensor:
    """Indices of codes used less than `restart_below` times what uniform usage would give.

    Args:
        usage: (averaged) number of vectors per code, `[size]`.
    """
    return (usage < restart_below * usage.sum() / len(usage)).nonzero()[:, 0]


def replacements(x: torch.Tensor, dead: torch.Tensor) -> torch.Tensor:
    """Random vectors of x `[n, dim]` in the place of codes dead `[m, dim]`, the same on all ranks.

    No vector is taken twice: of two equal codes only one would ever be chosen. Where x has too few, the rest
    of the dead codes stay.
    """
    fresh = dead.clone()
    pick = torch.randperm(len(x), device=x.device)[: len(dead)]
    fresh[: len(pick)] = x[pick]
    if distributed.is_available() and distributed.is_initialized():
        distributed.broadcast(fresh, 0)
    return fresh


def perplexity(counts: torch.Tensor) -> torch.Tensor:
    """`2^H` of the distribution of codes `[..., size]`: the number of codes in effective use, `[...]`."""
    p = counts / counts.sum(-1, keepdim=True).clamp(min=1e-12)
    return torch.exp(torch.special.entr(p).sum(-1))
