"""Variable bitrates: what a code must gain, by the bitrate that comes of it (`codec.quantize.prices`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from codec.errors import ConfigError

# The entry of a codebook that adds nothing, where codes can be skipped.
SKIP = 0

# Prices for which an engine keeps what it searches with: clips of a corpus come at one, or few, and preparing
# it takes longer than a short clip.
PRICES_KEPT = 4


class Price(NamedTuple):
    """What a bitrate takes.

    kbps: per channel in the file, on average over speech. price: that a code must gain not to be skipped, in
    squared distance. codebooks: as many as are of use at it.
    """

    kbps: float
    price: float
    codebooks: int


def price_for(kbps: float, prices: Sequence[Price], model: str) -> Price:
    """The price for a bitrate between those that are known: its logarithm is linear in that of the bitrate.

    Args:
        prices: by rising bitrate. model: whose, for the message.

    Raises:
        ConfigError: a model without any, or a bitrate that they do not reach.
    """
    if not prices:
        raise ConfigError(f"{model} has no variable bitrates: choose kbps or codebooks.")
    if not prices[0].kbps <= kbps <= prices[-1].kbps:
        raise ConfigError(
            f"{kbps:g} kbps is not available as a variable bitrate; choose {prices[0].kbps:.2g} to "
            f"{prices[-1].kbps:.2g} kbps"
        )
    above = next(k for k, known in enumerate(prices) if known.kbps >= kbps)
    low, high = prices[max(0, above - 1)], prices[above]
    if low is high:
        return high
    at = math.log(kbps / low.kbps) / math.log(high.kbps / low.kbps)
    price = math.exp(math.log(low.price) * (1 - at) + math.log(high.price) * at)
    return Price(kbps, price, max(low.codebooks, high.codebooks))
