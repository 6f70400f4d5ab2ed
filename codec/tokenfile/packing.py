"""Bit packing: codes of b bits each, lowest bit first, the first code in the lowest bits of byte 0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from codec.tokenfile.source import Damaged
from codec.tokens import Codes


def bits_of(codebook_size: int) -> int:
    """Bits of one code: ceil(log2(codebook_size))."""
    return (codebook_size - 1).bit_length()


def layer_bytes(codebook_size: int, channels: int, frames: int) -> int:
    """Bytes of one packed layer, the last one filled up with zero bits."""
    return (bits_of(codebook_size) * channels * frames + 7) // 8


def pack(codes: Codes, codebook_sizes: tuple[int, ...]) -> list[bytes]:
    """uint16 [channels, codebooks, frames] to one string of bytes a codebook, channel after channel."""
    channels, _, frames = codes.shape
    layers: list[bytes] = []
    for bits, group in _runs(codebook_sizes, channels * frames):
        # [codebooks of this width, channels * frames]
        rows = np.ascontiguousarray(codes[:, group].transpose(1, 0, 2), dtype="<u2").reshape(
            -1, channels * frames
        )
        ones = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little").reshape(len(rows), -1, 16)
        packed = np.packbits(ones[:, :, :bits].reshape(len(rows), -1), axis=1, bitorder="little")
        layers.extend(row.tobytes() for row in packed)
    return layers


def unpack(payload: bytes, codebook_sizes: tuple[int, ...], channels: int, frames: int) -> Codes:
    """The packed layers of a page, one after the other, to uint16 [channels, codebooks, frames].

    The payload's length must be the sum of layer_bytes. Raises Damaged when a code is not in its codebook.
    """
    codes = np.empty((channels, len(codebook_sizes), frames), dtype=np.uint16)
    at = 0
    for bits, group in _runs(codebook_sizes, channels * frames):
        count = group.stop - group.start
        size = layer_bytes(1 << bits, channels, frames)
        rows = np.frombuffer(payload, dtype=np.uint8, count=count * size, offset=at).reshape(count, size)
        at += count * size
        ones = np.zeros((count, channels * frames, 16), dtype=np.uint8)
        packed = np.unpackbits(rows, axis=1, count=channels * frames * bits, bitorder="little")
        ones[:, :, :bits] = packed.reshape(count, -1, bits)
        values = np.packbits(ones.reshape(count, -1), axis=1, bitorder="little").view("<u2")
        codes[:, group] = values.reshape(count, channels, frames).transpose(1, 0, 2)
    for k, size in enumerate(codebook_sizes):
        if size != 1 << bits_of(size) and codes[:, k].max(initial=0) >= size:
            raise Damaged
    return codes


# Codes packed at once (but at least one layer): each takes 16 bytes on the way.
_AT_ONCE = 1 << 18


def _runs(codebook_sizes: tuple[int, ...], codes_per_layer: int) -> Iterator[tuple[int, slice]]:
    """Neighbouring codebooks of equal width, few enough to be packed at once: (bits, which)."""
    longest = max(1, _AT_ONCE // max(1, codes_per_layer))
    start = 0
    for bits, group in groupby(codebook_sizes, bits_of):
        stop = start + len(list(group))
        for first in range(start, stop, longest):
            yield bits, slice(first, min(first + longest, stop))
        start = stop
