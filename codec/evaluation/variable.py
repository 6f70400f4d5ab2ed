"""Which price of a code makes which bitrate, measured on speech (`codec.variable`)."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch

from codec.models.network import CodecNetwork
from codec.quantize.prepared import prepare
from codec.quantize.rates import as_residual
from codec.tokenfile import Tables, write
from codec.tokens import Tokens
from codec.variable import Price

# Prices as shares of the mean squared norm of latents: from nearly all codes to hardly any.
_PRICES = np.geomspace(2.5e-4, 0.1, 13)

# Codes of a frame that is not silent.
_SEVERAL = 3

# Codebooks beyond those that make all but this share of the codes are left out: each takes bytes of every
# page, which bring more elsewhere.
_RARE = 0.02


def prices_of(
    network: CodecNetwork, weights_hash: str, rows: Sequence[torch.Tensor], tables: Tables
) -> tuple[Price, ...]:
    """Prices by rising bitrate, for a model whose quantizer can skip codes.

    Bitrates are those of speech without the silence before and after it, which takes next to nothing and of
    which corpora have more or less.

    Args:
        rows: latents of recordings, float32 `[frames, latent_dim]` each. tables: of the entropy coding.

    Raises:
        ConfigError: a quantizer that cannot skip codes.
    """
    typical = float(as_residual(network.quantizer).typical_norm().square())
    rows = _spoken(network, rows, float(np.median(_PRICES)) * typical)
    found: list[Price] = []
    for share in _PRICES[::-1]:
        price = float(share) * typical
        quantizer = prepare(network.quantizer, price)
        codes = torch.cat([quantizer.encode(row.T[None]).codes for row in rows], dim=2).cpu().numpy()
        used = np.cumsum((codes != 0).sum((0, 2)))
        count = int(np.searchsorted(used, (1 - _RARE) * used[-1])) + 1
        kbps = _kbps(network, weights_hash, codes[:, :count].astype(np.uint16), tables)
        if not found or kbps > found[-1].kbps:
            found.append(Price(kbps, price, max(count, found[-1].codebooks if found else 1)))
    return tuple(found)


def _spoken(network: CodecNetwork, rows: Sequence[torch.Tensor], price: float) -> list[torch.Tensor]:
    """Of each recording the frames from the first to the last that are worth several codes at a price."""
    quantizer, found = prepare(network.quantizer, price), []
    for row in rows:
        busy = ((quantizer.encode(row.T[None]).codes[0] != 0).sum(0) >= _SEVERAL).nonzero()[:, 0].tolist()
        if busy:
            found.append(row[busy[0] : busy[-1] + 1])
    return found or list(rows)


def _kbps(network: CodecNetwork, weights_hash: str, codes: np.ndarray, tables: Tables) -> float:
    """Of a token file of codes `[1, codebooks, frames]`, with all that is in it."""
    config = network.config
    tokens = Tokens(
        codes=codes,
        codebook_sizes=network.quantizer.codebook_sizes[: codes.shape[1]],
        frame_rate=config.frame_rate,
        sample_rate=config.sample_rate,
        n_samples=codes.shape[2] * config.frame_length,
        model=config.name,
        weights_hash=weights_hash,
    )
    file = io.BytesIO()
    write(file, tokens, tables=tables)
    return 8 * len(file.getvalue()) / tokens.duration / 1000
