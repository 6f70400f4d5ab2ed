"""With how many codebooks items train: quantizer dropout (SoundStream, Zeghidour et al. 2021, III-C)."""

from __future__ import annotations

import math

import torch

from codec.quantize.config import DropoutLaw


def used_codebooks(
    n: int, batch: int, *, share: float, law: DropoutLaw = "uniform", device: torch.device | None = None
) -> torch.Tensor:
    """How many of n codebooks each item of a batch trains with, int64 `[batch]`.

    Args:
        share: of the items that a number is drawn for, from 1 to n; the others use all.
        law: of that number. "octaves": k has the probability `log((k + 1) / k) / log(n + 1)`.
    """
    if law == "octaves":
        drawn = torch.exp(torch.rand(batch, device=device) * math.log(n + 1)).long().clamp(1, n)
    else:
        drawn = torch.randint(1, n + 1, (batch,), device=device)
    full = torch.full((batch,), n, device=device)
    return torch.where(torch.rand(batch, device=device) < share, drawn, full)
