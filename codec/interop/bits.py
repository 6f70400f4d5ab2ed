"""EnCodec's bit packing: codes of b bits each, one after the other, lowest bit first."""

from __future__ import annotations

import numpy as np


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of `count` values of `bits` bits each, the last byte filled up with zero bits."""
    return (count * bits + 7) // 8


def pack_bits(values: np.ndarray, bits: int) -> bytes:
    """Values `[count]`, each below `2 ** bits` with bits <= 16, as bytes."""
    rows = np.ascontiguousarray(values, dtype="<u2").view(np.uint8).reshape(-1, 2)
    ones = np.unpackbits(rows, axis=1, bitorder="little")
    return np.packbits(ones[:, :bits].reshape(-1), bitorder="little").tobytes()


def unpack_bits(data: bytes, bits: int, count: int) -> np.ndarray:
    """The values uint16 `[count]` that `pack_bits` wrote; data has exactly the bytes that they need."""
    ones = np.zeros((count, 16), np.uint8)
    packed = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    ones[:, :bits] = packed.reshape(count, bits)
    values = np.packbits(ones, axis=1, bitorder="little").view("<u2").reshape(count)
    return values.astype(np.uint16)
