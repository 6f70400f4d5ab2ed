"""Beam search through codebooks that are summed, and how safe its finding is.

A greedy search takes the nearest code of each stage, and one that is second now may leave what later codes
fit better. So the `beam` sums that are nearest to the latent are kept after every stage, and the nearest wins
at the end (for residual quantization: Babenko and Lempitsky 2014, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from codec.quantize.base import Exact
from codec.variable import SKIP

# Scores that are held at once; more latents than fit are searched in turns.
_AT_ONCE = 1 << 21


class Paths:
    """Codebooks `[size, dim]` of which beams of sums are made, all on one device and of one type."""

    def __init__(self, codebooks: Sequence[torch.Tensor], beam: int) -> None:
        self._beam = beam
        self._codebooks = [codebook.detach() for codebook in codebooks]
        self._keys = [_keys(codebook) for codebook in self._codebooks]

    def encode(
        self, z: torch.Tensor, n_codebooks: int | None = None, prices: torch.Tensor | None = None
    ) -> Exact:
        """Codes and gaps, as `Quantizer.encode`, of latents `[batch, dim, frames]`.

        prices: what every code but the first of a codebook costs, in squared distance, `[batch]`: it is added
            to the squared distance of a sum, and the least of all is sought (`quantize.prices`).
        """
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        each = x.new_zeros(len(x)) if prices is None else prices.to(x).repeat_interleave(frames)
        count = len(self._codebooks) if n_codebooks is None else n_codebooks
        turn = max(1, _AT_ONCE // (self._beam * max(len(codebook) for codebook in self._codebooks)))
        found = [
            self._search(part, price, count)
            for part, price in zip(x.split(turn), each.split(turn), strict=True)
        ]
        codes, gaps = torch.cat([codes for codes, _ in found]), torch.cat([gap for _, gap in found])
        return Exact(codes.reshape(batch, frames, count).transpose(1, 2), gaps.reshape(batch, frames))

    def _search(self, x: torch.Tensor, price: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes `[n, count]` of x `[n, dim]` at prices `[n]`, and gaps `[n]`.

        No distance changes by more than x moves. So the same sums are kept while x moves by less than half of
        what the first that is left out is farther away than the last that is kept; likewise with the two
        nearest at the end. In float64, where close calls are decided, those that are near are looked at one
        by one: between two sums the border is where both are as near.

        Prices change none of that: the root of a squared distance and prices is a distance in a space of more
        dimensions, in which x moves as before.
        """
        exact = x.dtype == torch.float64
        n, dim = x.shape
        residual = x[:, None]  # [n, paths, dim]
        chosen = torch.zeros(n, 1, 0, dtype=torch.long, device=x.device)
        gap = torch.full((n,), torch.inf, dtype=x.dtype, device=x.device)
        distance = torch.zeros(n, 1, dtype=x.dtype, device=x.device)
        spent, priced = torch.zeros_like(distance), bool((price > 0).any())
        for codebook, keys in zip(self._codebooks[:count], self._keys[:count], strict=True):
            paths, size = residual.shape[1], len(codebook)
            half = (residual.square().sum(2, keepdim=True) + spent[..., None]) * 0.5
            scores = torch.cat([residual, torch.ones_like(half), half], 2).flatten(0, 1) @ keys
            kept, wanted = min(self._beam, paths * size), min(_looked_at(self._beam, exact), paths * size)
            # The best of all lie at the codes whose best path is best.
            scores = scores.reshape(n, paths, size)
            if priced:
                scores[..., SKIP + 1 :] -= price[:, None, None] * 0.5
            few = scores.amax(1).topk(min(wanted, size), dim=1).indices
            candidates = scores.gather(2, few[:, None].expand(-1, paths, -1)).flatten(1)
            best, where = candidates.topk(wanted, dim=1)
            distance = (-2 * best).clamp(min=0).sqrt()
            if wanted < paths * size or (wanted > kept and not exact):
                # All others are at least as far away as the last that is looked at.
                gap = torch.minimum(gap, (distance[:, -1] - distance[:, kept - 1]) / 2)
            parents, codes = where // few.shape[1], few.gather(1, where % few.shape[1])
            left = residual.gather(1, parents[..., None].expand(-1, -1, dim)) - codebook[codes]
            if exact and wanted > kept:
                gap = torch.minimum(gap, _border(left, distance, kept))
            residual = left[:, :kept]
            earlier = chosen.gather(1, parents[:, :kept, None].expand(-1, -1, chosen.shape[2]))
            chosen = torch.cat([earlier, codes[:, :kept, None]], 2)
            spent = spent.gather(1, parents[:, :kept]) + price[:, None] * (codes[:, :kept] != SKIP)
        if residual.shape[1] > 1:
            if exact:
                others = _border(residual, distance[:, : residual.shape[1]], 1)
            else:
                others = (distance[:, 1] - distance[:, 0]) / 2
            gap = torch.minimum(gap, others)
        return chosen[:, 0], gap


def _looked_at(beam: int, exact: bool) -> int:
    """How many sums of a stage are looked at: those that are kept, and what is next to them."""
    return 2 * beam + 1 if exact else beam + 1


def _border(left: torch.Tensor, distance: torch.Tensor, kept: int) -> torch.Tensor:
    """How far x is at least from where one of the first `kept` sums is as near as one of the others, `[n]`.

    Args:
        left: what the sums leave of x, `[n, sums, dim]`. distance: the norms of these, `[n, sums]`.
    """
    squares = distance.square()
    farther = squares[:, None, kept:] - squares[:, :kept, None]
    apart = (left[:, :kept, None] - left[:, None, kept:]).norm(dim=3)
    # Equal sums are no border.
    return torch.where(apart > 0, farther / (2 * apart), torch.inf).flatten(1).amin(1)


def _keys(codebook: torch.Tensor) -> torch.Tensor:
    """`[dim + 2, size]`: the product of (x, 1, |x|^2 / 2) with it is minus half of squared distances."""
    half = codebook.square().sum(1, keepdim=True) * -0.5
    return torch.cat([codebook, half, -torch.ones_like(half)], 1).T
