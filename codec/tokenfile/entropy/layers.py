"""The layers of a page as a file holds them: entropy coded where that is shorter, else packed plainly."""

from __future__ import annotations

from collections.abc import Sequence

from codec.tokenfile.entropy import coder
from codec.tokenfile.entropy.find import needed
from codec.tokenfile.entropy.network import network_of
from codec.tokenfile.entropy.tables import Tables
from codec.tokenfile.header import Header
from codec.tokenfile.packing import layer_bytes, unpack
from codec.tokenfile.pages import least_bytes
from codec.tokens import Codes

# What a layer must save to be worth its place in the page's list of lengths.
_WORTH = 2


def encode_layers(codes: Codes, plain: Sequence[bytes], header: Header, tables: Tables | None) -> list[bytes]:
    """The layers of codes [channels, codebooks, frames]; plain: the same, packed plainly.

    Raises TokenFileError when the header's tables are not there.
    """
    network = network_of(needed(header, tables))
    least = least_bytes(header, codes.shape[2])
    coded = [layer.ljust(least, b"\0") for layer in coder.encode(network, codes)]
    return [
        ours if len(ours) + _WORTH <= len(theirs) else theirs
        for ours, theirs in zip(coded, plain, strict=True)
    ]


def decode_layers(layers: Sequence[bytes], frames: int, header: Header, tables: Tables | None) -> Codes:
    """Codes uint16 [channels, codebooks, frames] of a page's layers; raises Damaged or TokenFileError."""
    network = network_of(needed(header, tables))
    sources: list[bytes | Codes] = []
    for layer, size in zip(layers, header.codebook_sizes, strict=True):
        packed = len(layer) == layer_bytes(size, header.channels, frames)
        sources.append(unpack(layer, (size,), header.channels, frames)[:, 0] if packed else layer)
    return coder.decode(network, sources, header.channels, frames)
