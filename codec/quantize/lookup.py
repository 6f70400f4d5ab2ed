"""Finding the nearest code of a codebook, and how safe the finding is against rounding errors."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Match(NamedTuple):
    """The codes of some vectors, and how clear each decision was.

    codes: index of the nearest code, `[n]`, int64; any one of them where several codes are the same vector.
    gap: how far the vector must move before another code is as near, `[n]`, in the units of the vector; a
        code that is the same vector is not another code.
    """

    codes: torch.Tensor
    gap: torch.Tensor


def scores(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """`x . e - |e|^2 / 2`, `[n, size]`: largest where `|x - e|^2` is smallest, by one matrix product."""
    return (x @ codebook.T).sub_(codebook.square().sum(1) * 0.5)


def nearest(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """Index `[n]` of the code of `codebook` `[size, dim]` nearest to each vector of `x` `[n, dim]`."""
    found = scores(x, codebook).detach()
    if found.device.type != "cpu":
        return found.argmax(1)
    # NumPy's search takes a tenth of the time of PyTorch's.
    return torch.from_numpy(found.numpy().argmax(1))


def match(x: torch.Tensor, codebook: torch.Tensor) -> Match:
    """As `nearest`, with a lower bound of the distance from each vector to the border of its cell.

    The border between the cells of codes a and b is the plane on which their scores are equal: the vector is
    `(x - (a + b) / 2) . (a - b) / |a - b|` away from it. This is exact for the runner-up; all other codes
    score no better than the third and lie at most `|a| + max |e|` from a.
    """
    best, codes = scores(x, codebook).topk(min(3, len(codebook)), dim=1)
    winner = codebook[codes[:, 0]]
    tiny = torch.finfo(x.dtype).tiny
    gap = border(x, winner, codebook[codes[:, 1]])
    if len(codebook) > 2:
        farthest = winner.norm(dim=1) + codebook.norm(dim=1).max()
        gap = torch.minimum(gap, (best[:, 0] - best[:, 2]) / farthest.clamp(min=tiny))
    return Match(codes[:, 0], gap)


def border(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """How far x `[n, dim]` is on a's side of the border between a and b, `[n]`; infinitely where a equals b.

    The difference of the scores over `|a - b|` is the same, but rounds scores and not the result: for codes
    that are close to each other its error is many times as large.
    """
    across = a - b
    apart = across.norm(dim=1)
    gap = ((x - (a + b) / 2) * across).sum(1) / apart.clamp(min=torch.finfo(x.dtype).tiny)
    return torch.where(apart > 0, gap, torch.inf)


def first_equals(vectors: torch.Tensor) -> torch.Tensor:
    """For each row of `[size, dim]` the index of the first row that is the same vector, `[size]`."""
    _, group = vectors.unique(dim=0, return_inverse=True)
    first = torch.full((len(vectors),), len(vectors), device=vectors.device)
    first.scatter_reduce_(0, group, torch.arange(len(vectors), device=vectors.device), "amin")
    return first[group]
