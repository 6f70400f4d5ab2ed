"""How often codes are used: sums over processes, dead codes, and what tells a codebook's health."""

from __future__ import annotations

import math

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


def soft_entropy(distances: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of the mean soft assignment of a batch, a scalar: highest if codes are equally likely.

    A vector belongs to code k with the share `softmax(-d_k / t)`. t is a constant by which a code that is as
    much farther than the nearest one as codes are on average has the weight `size^-2`: the nearest codes
    decide, and even codes far away from all vectors have a gradient.

    Args:
        distances: squared distances d between vectors and codes, `[n, size]`; n may be 0.
    """
    if not len(distances):
        return distances.sum()
    excess = distances - distances.detach().amin(1, keepdim=True)
    mean = excess.detach().mean().clamp(min=torch.finfo(distances.dtype).tiny)
    shares = torch.softmax(-2 * math.log(distances.shape[1]) * excess / mean, dim=1)
    # Where a share is zero, the derivative of its entropy is infinite.
    return torch.special.entr(shares.mean(0).clamp(min=1e-30)).sum()
