"""Small PNG images of few colours, without an image library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from codec.errors import ConfigError

Colour = tuple[int, int, int]


def indexed_png(pixels: np.ndarray, palette: Sequence[Colour]) -> bytes:
    """A PNG file (ISO/IEC 15948, colour type 3, 4 bits) of indices uint8 `[rows, columns]` into the palette.

    Raises:
        ConfigError: more than 16 colours.
    """
    if len(palette) > 16:
        raise ConfigError(f"an image of 4 bits a point has at most 16 colours, not {len(palette)}.")
    rows, columns = pixels.shape
    even = np.pad(pixels, ((0, 0), (0, columns % 2)))
    lines = np.zeros((rows, 1 + even.shape[1] // 2), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = even[:, 0::2] << 4 | even[:, 1::2]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 4, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(value for colour in palette for value in colour)),
            _chunk(b"IDAT", zlib.compress(lines.tobytes())),
            _chunk(b"IEND", b""),
        )
    )


def ramp(stops: Sequence[Colour], size: int) -> list[Colour]:
    """`size` colours through evenly spaced stops."""
    at = np.linspace(0, len(stops) - 1, size)
    channels = [np.interp(at, np.arange(len(stops)), [stop[c] for stop in stops]) for c in range(3)]
    return [(round(r), round(g), round(b)) for r, g, b in zip(*channels, strict=True)]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
