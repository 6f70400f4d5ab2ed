"""The layers of a page as a file holds them: entropy coded where that is shorter, else packed plainly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codec.tokenfile.entropy import coder
from codec.tokenfile.entropy.find import needed
from codec.tokenfile.entropy.network import network_of
from codec.tokenfile.entropy.tables import Tables
from codec.tokenfile.header import Header
from codec.tokenfile.packing import layer_bytes, unpack
from codec.tokenfile.pages import least_bytes
from codec.tokenfile.source import Damaged
from codec.tokens import Codes

# What a layer must save to be worth its place in the page's list of lengths.
_WORTH = 2


def encode_layers(codes: Codes, plain: Sequence[bytes], header: Header, tables: Tables | None) -> list[bytes]:
    """The layers of codes [channels, codebooks, frames]; plain: the same, packed plainly.

    Raises TokenFileError when the header's tables are not there.
    """
    tables = needed(header, tables)
    count = tables.coded(header.codebook_sizes) or 0
    least = least_bytes(header, codes.shape[2])
    coded = [layer.ljust(least, b"\0") for layer in coder.encode(network_of(tables), codes[:, :count])]
    return [
        ours if len(ours) + _WORTH <= len(theirs) else theirs
        for ours, theirs in zip([*coded, *plain[count:]], plain, strict=True)
    ]


def decode_layers(layers: Sequence[bytes], frames: int, header: Header, tables: Tables | None) -> Codes:
    """Codes uint16 [channels, codebooks, frames] of a page's layers; raises Damaged or TokenFileError."""
    tables = needed(header, tables)
    count = tables.coded(header.codebook_sizes) or 0
    sources: list[bytes | Codes] = []
    for layer, size in zip(layers, header.codebook_sizes, strict=True):
        packed = len(layer) == layer_bytes(size, header.channels, frames)
        sources.append(unpack(layer, (size,), header.channels, frames)[:, 0] if packed else layer)
    rest = [layer for layer in sources[count:] if not isinstance(layer, bytes)]
    if len(rest) < len(sources) - count:
        raise Damaged
    coded = [coder.decode(network_of(tables), sources[:count], header.channels, frames)] if count else []
    return np.concatenate([*coded, *(layer[:, None] for layer in rest)], axis=1)
