"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), which guards the header and every record of a token file."""

from __future__ import annotations

import crc32c

CRC_BYTES = 4


def sealed(data: bytes) -> bytes:
    """data followed by its CRC-32C, 4 bytes little-endian."""
    return data + crc32c.crc32c(data).to_bytes(CRC_BYTES, "little")


def seal_holds(data: bytes) -> bool:
    """Whether the last 4 bytes of data are the CRC-32C of those before them."""
    return len(data) >= CRC_BYTES and crc32c.crc32c(memoryview(data)[:-CRC_BYTES]) == int.from_bytes(
        data[-CRC_BYTES:], "little"
    )
