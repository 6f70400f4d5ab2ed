"""Whole numbers in as few bytes as they need: 7 bits a byte, lowest first, high bit set but on the last."""

from __future__ import annotations

from codec.tokenfile.source import Damaged, Source


def varint(value: int) -> bytes:
    """value >= 0 in 1 byte below 128, 2 bytes below 16384, and so on."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def read_varint(source: Source, at: int, highest: int) -> tuple[int, int]:
    """The number that starts `at` bytes into what source has not consumed, and where the next field starts.

    Raises Damaged as soon as the number must be above `highest`, or is longer than it needs to be; Ended at
    the end of the stream.
    """
    value = shift = 0
    while True:
        byte = source.byte(at)
        at += 1
        value |= (byte & 0x7F) << shift
        if value > highest or (shift and not byte):
            raise Damaged
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= highest.bit_length():
            raise Damaged
