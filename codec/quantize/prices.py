"""A bitrate that varies with what there is to say: codes that gain less than their price are skipped.

The least sum of squared error and price times number of codes is a Lagrangian as in entropy-constrained
vector quantization (Chou, Lookabaugh and Gray 1989), with one length for every code but the one that adds
nothing, whose length counts as zero. At one price, frames of silence get one code or none, and those that are
loud get many.
"""

from __future__ import annotations

import math

import torch

from codec.quantize.base import Quantizer

# Prices that training draws, as shares of the mean squared norm of latents: from nearly all codes to about
# one of sixteen.
_LEAST, _MOST = 1e-3, 5e-2


def drawn_prices(batch: int, *, share: float, typical: torch.Tensor) -> torch.Tensor:
    """The price of a code for each item of a training batch, in squared distance, `[batch]`.

    Args:
        share: of the items that have a price; that of the others is 0.
        typical: mean squared norm of latents, a scalar.
    """
    draw = torch.rand(2, batch, device=typical.device)
    prices = _LEAST * torch.exp(draw[0] * math.log(_MOST / _LEAST)) * typical
    return torch.where(draw[1] < share, prices, torch.zeros_like(prices))


def range_of(quantizer: Quantizer) -> tuple[float, float] | None:
    """The least and the highest price that training drew; None for a quantizer that cannot skip codes."""
    config = getattr(quantizer, "config", None)
    if getattr(config, "skips", 0) == 0:
        return None
    typical = float(quantizer.typical_norm().square())
    return _LEAST * typical, _MOST * typical
