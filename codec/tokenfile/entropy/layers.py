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


def decode_pages(
    pages: Sequence[Sequence[bytes]], frames: int, header: Header, tables: Tables | None
) -> list[Codes | None]:
    """Codes uint16 [channels, codebooks, frames] of the layers of pages of one length; None where damaged.

    Raises TokenFileError when the header's tables are not there.
    """
    tables = needed(header, tables)
    count = tables.coded(header.codebook_sizes) or 0
    found: list[Codes | None] = []
    coded: list[tuple[int, list[bytes | Codes]]] = []
    for layers in pages:
        try:
            sources = _sources(layers, frames, header, count)
        except Damaged:
            found.append(None)
            continue
        if count:
            coded.append((len(found), sources[:count]))
        plain = [layer[:, None] for layer in sources[count:] if not isinstance(layer, bytes)]
        nothing = np.zeros((header.channels, 0, frames), np.uint16)
        found.append(np.concatenate([nothing, *plain], axis=1))
    if coded:
        network = network_of(tables)
        decoded = coder.decode(network, [sources for _, sources in coded], header.channels, frames)
        for (number, _), codes in zip(coded, decoded, strict=True):
            rest = found[number]
            found[number] = None if codes is None or rest is None else np.concatenate([codes, rest], axis=1)
    return found


def _sources(layers: Sequence[bytes], frames: int, header: Header, coded: int) -> list[bytes | Codes]:
    """Layers as codes [channels, frames] where they are packed plainly, which those after `coded` must be."""
    sources: list[bytes | Codes] = []
    for layer, size in zip(layers, header.codebook_sizes, strict=True):
        packed = len(layer) == layer_bytes(size, header.channels, frames)
        sources.append(unpack(layer, (size,), header.channels, frames)[:, 0] if packed else layer)
    if any(isinstance(layer, bytes) for layer in sources[coded:]):
        raise Damaged
    return sources
