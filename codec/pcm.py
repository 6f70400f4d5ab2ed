"""Plain samples: their encodings as bytes, and the WAV header in front of them, streamed or not.

Sources: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, WAVE), Microsoft's
WAVEFORMATEXTENSIBLE, EBU Tech 3306 (RF64 and its ds64 chunk).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from codec.errors import AudioError

Encoding = Literal["u8", "s16le", "s24le", "s32le", "f32le", "f64le"]

SAMPLE_BYTES: dict[Encoding, int] = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BY_TAG: dict[tuple[int, int], Encoding] = {
    (_PCM, 8): "u8",
    (_PCM, 16): "s16le",
    (_PCM, 24): "s24le",
    (_PCM, 32): "s32le",
    (_FLOAT, 32): "f32le",
    (_FLOAT, 64): "f64le",
}
_TAG_OF = {encoding: tag for tag, encoding in _BY_TAG.items()}
# The bytes that follow the two-byte tag in the sub-format of WAVE_FORMAT_EXTENSIBLE.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN = 0xFFFFFFFF
_MAX_HEADER = 1 << 20


@dataclass(frozen=True)
class RawFormat:
    """Samples without a header: rate in Hz, channel count, and encoding (little-endian, interleaved)."""

    sample_rate: int
    channels: int
    dtype: Encoding = "s16le"

    def __post_init__(self) -> None:
        if self.dtype not in SAMPLE_BYTES:
            raise AudioError(
                f"Raw audio of type {self.dtype!r} is not known: use one of {', '.join(SAMPLE_BYTES)}."
            )
        if self.sample_rate < 1 or self.channels < 1:
            raise AudioError(
                f"Raw audio needs a rate and a channel count of at least 1, not {self.sample_rate} Hz "
                f"and {self.channels}."
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return SAMPLE_BYTES[self.dtype] * self.channels


@dataclass(frozen=True)
class WavHeader:
    """What the header of a WAV says; `data_bytes` is None where a streaming writer could not know it."""

    format: RawFormat
    data_bytes: int | None


def decode_samples(data: bytes, fmt: RawFormat) -> np.ndarray:
    """Bytes (whole frames) to float32 `[channels, n]`; integers are scaled to [-1, 1)."""
    if fmt.dtype == "u8":
        flat = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif fmt.dtype == "s16le":
        flat = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    elif fmt.dtype == "s24le":
        wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        flat = wide.view("<i4")[:, 0].astype(np.float32) / 2**31
    elif fmt.dtype == "s32le":
        flat = np.frombuffer(data, "<i4").astype(np.float32) / 2**31
    else:
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which readers report
            flat = np.frombuffer(data, "<f4" if fmt.dtype == "f32le" else "<f8").astype(np.float32)
    return np.ascontiguousarray(flat.reshape(-1, fmt.channels).T)


def encode_samples(x: np.ndarray, encoding: Encoding) -> bytes:
    """Float32 `[channels, n]` in [-1, 1] to interleaved bytes; integers are rounded to the nearest."""
    frames = x.T
    if encoding in ("f32le", "f64le"):
        return frames.astype("<f4" if encoding == "f32le" else "<f8").tobytes()
    if encoding == "u8":
        return (to_integers(frames, 8) + 128).astype(np.uint8).tobytes()
    if encoding == "s16le":
        return to_integers(frames, 16).astype("<i2").tobytes()
    if encoding == "s24le":
        wide = np.ascontiguousarray(to_integers(frames, 24).astype("<i4"))
        return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return to_integers(frames, 32).astype("<i4").tobytes()


def to_integers(x: np.ndarray, bits: int) -> np.ndarray:
    """Samples in [-1, 1] to the nearest of `bits`-bit integers, as int32 of the same shape."""
    top = 2 ** (bits - 1)
    # Up to 24 bits float32 holds every integer, so that scaling it is exact.
    scaled = np.multiply(x, top, dtype=np.float32 if bits <= 24 else np.float64)
    return np.clip(np.rint(scaled, out=scaled), -top, top - 1, out=scaled).astype(np.int32)


def wav_header(fmt: RawFormat, data_bytes: int | None = None, *, streaming: bool = False) -> bytes:
    """The bytes in front of the samples of a WAV.

    `streaming=True` gives the 44-byte header whose sizes mean "unknown". Otherwise the header has room for
    a ds64 chunk, so that its length is the same below 4 GiB (where JUNK fills the room) and above (RF64).
    """
    tag, bits = _TAG_OF[fmt.dtype]
    frame = fmt.frame_bytes
    fmt_chunk = b"fmt " + struct.pack(
        "<IHHIIHH", 16, tag, fmt.channels, fmt.sample_rate, fmt.sample_rate * frame, frame, bits
    )
    if streaming:
        return (
            struct.pack("<4sI4s", b"RIFF", _UNKNOWN, b"WAVE")
            + fmt_chunk
            + struct.pack("<4sI", b"data", _UNKNOWN)
        )
    size = data_bytes or 0
    riff_bytes = 4 + 36 + len(fmt_chunk) + 8 + size + size % 2
    if riff_bytes < _UNKNOWN:
        start = struct.pack("<4sI4s4sI28x", b"RIFF", riff_bytes, b"WAVE", b"JUNK", 28)
        return start + fmt_chunk + struct.pack("<4sI", b"data", size)
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, riff_bytes, size, size // frame, 0)
    start = struct.pack("<4sI4s", b"RF64", _UNKNOWN, b"WAVE") + ds64
    return start + fmt_chunk + struct.pack("<4sI", b"data", _UNKNOWN)


def read_wav_header(file: BinaryIO) -> tuple[WavHeader | None, bytes]:
    """Read the header of a WAV up to its first sample, never seeking.

    Returns the header and the bytes consumed. The header is None where this is no little-endian WAV of plain
    samples: another reader may then try with those bytes put back in front.
    """
    seen = bytearray()

    def take(n: int) -> bytes:
        data = file.read(min(n, _MAX_HEADER))
        seen.extend(data)
        return data if len(data) == n else b""

    return _parse_wav_header(take, seen), bytes(seen)


def _parse_wav_header(take: Callable[[int], bytes], seen: bytearray) -> WavHeader | None:
    start = take(12)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        return None
    riff_bytes = int.from_bytes(start[4:8], "little")
    fmt: RawFormat | None = None
    long_size: int | None = None
    while len(seen) < _MAX_HEADER:
        head = take(8)
        if not head:
            return None
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            if fmt is None:
                return None
            if long_size is not None and size == _UNKNOWN:
                return WavHeader(fmt, long_size)
            return WavHeader(fmt, None if _is_unknown(size, riff_bytes, len(seen)) else size)
        body = take(size + size % 2)
        if len(body) < size:
            return None
        if name == b"ds64" and size >= 24:
            long_size = int.from_bytes(body[8:16], "little")
        if name == b"fmt ":
            fmt = _parse_format(body)
            if fmt is None:
                return None
    return None


def _parse_format(body: bytes) -> RawFormat | None:
    if len(body) < 16:
        return None
    tag, channels, rate, _, frame, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 40 and body[26:40] == _GUID_TAIL:
        tag = int.from_bytes(body[24:26], "little")
    encoding = _BY_TAG.get((tag, bits))
    if encoding is None or channels < 1 or rate < 1 or frame != SAMPLE_BYTES[encoding] * channels:
        return None
    return RawFormat(rate, channels, encoding)


def _is_unknown(size: int, riff_bytes: int, position: int) -> bool:
    # Writers to a pipe put the largest size there, signed or not, perhaps rounded down to whole blocks; or
    # zero. A zero is real where the RIFF size ends exactly here, or counts other chunks behind.
    if size == 0:
        return riff_bytes + 8 < position or riff_bytes >= 0x7FFFF000
    return 0x7FFFF000 <= size <= 0x7FFFFFFF or size >= 0xFFFFF000
