"""The header of a token file: what is true of the whole recording, in about 45 bytes (layout: FORMAT.md)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction

from codec import tokens as limits
from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.checksum import CRC_BYTES, seal_holds, sealed
from codec.tokenfile.packing import bits_of, layer_bytes
from codec.tokenfile.source import Damaged, Ended, Source
from codec.tokenfile.varint import read_varint, varint
from codec.tokens import Codes, Tokens, check_fields, check_int, plain_fields

MAGIC = b"\x89cdc"
VERSION = 1
PLAIN_PACKING = 0
RANGE_CODING = 1
MAX_PAGE_FRAMES = 1 << 16
MAX_BODY_BYTES = 1 << 17
HASH_BYTES = 8
TABLES_BYTES = 4

# Bits of the header's flags byte; bits 0 to 2 are channels - 1.
_HAS_HASH, _HAS_SKIP, _HAS_METADATA = 1 << 3, 1 << 4, 1 << 5
# Bits 6 and 7: how codebook sizes are written.
_POWER_OF_TWO, _ONE_SIZE, _EACH_SIZE = 0, 1, 2

# Pages of about the same bytes at low and high bitrates, so that their overhead stays small at both.
_MANY_BITS_A_FRAME = 30
_FRAMES_OF_MANY_BITS, _FRAMES_OF_FEW_BITS = 256, 1024


@dataclass(frozen=True)
class Header:
    """What a token file says of its recording; the fields are those of Tokens, and two of the file's own.

    n_samples: None while it is unknown (a stream). entropy: id of the entropy coding, 0 = plain bit packing,
    1 = range coding with the tables that `tables` names by 8 hex digits ("" with plain packing).
    page_frames: frames of every page but the last, which has 1 to page_frames.
    Raises ConfigError when a field is out of its range.
    """

    version: int
    model: str
    weights_hash: str
    sample_rate: int
    channels: int
    n_samples: int | None
    frame_rate: Fraction
    codebook_sizes: tuple[int, ...]
    entropy: int = PLAIN_PACKING
    page_frames: int = _FRAMES_OF_MANY_BITS
    skip: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    tables: str = ""

    def __post_init__(self) -> None:
        shared = {item.name for item in fields(self)} - {"version", "entropy", "page_frames", "tables"}
        check_fields(**{name: getattr(self, name) for name in shared})
        check_int("entropy", self.entropy, 0, 15)
        check_int("page_frames", self.page_frames, 1, MAX_PAGE_FRAMES)
        digits = 2 * TABLES_BYTES if self.entropy else 0
        if len(self.tables) != digits or not set(self.tables) <= set("0123456789abcdef"):
            raise ConfigError(
                f"tables must be {digits} lower-case hex digits with entropy coding {self.entropy}, "
                f"not {self.tables[:40]!r}"
            )
        for name, value in plain_fields(self).items():
            object.__setattr__(self, name, value)

    @property
    def codebooks(self) -> int:
        return len(self.codebook_sizes)

    @property
    def kbps(self) -> float:
        """Kilobits per second and channel of the codes, without the file's overhead."""
        return limits.rates(self.frame_rate, self.codebook_sizes)[-1]

    def layer_bytes(self, frames: int) -> list[int]:
        """Bytes of each packed layer of a page of `frames` frames."""
        return [layer_bytes(size, self.channels, frames) for size in self.codebook_sizes]

    def tokens(self, codes: Codes, n_samples: int | None) -> Tokens:
        """Tokens of this header's fields. codes: uint16 [channels, codebooks, frames]."""
        return Tokens(
            codes=codes,
            codebook_sizes=self.codebook_sizes,
            frame_rate=self.frame_rate,
            sample_rate=self.sample_rate,
            n_samples=n_samples,
            skip=self.skip,
            model=self.model,
            weights_hash=self.weights_hash,
            metadata=self.metadata,
        )


def header_of(tokens: Tokens, page_frames: int | None = None) -> Header:
    """The header that tokens are written with; page_frames None chooses pages of a suitable length."""
    return Header(
        version=VERSION,
        model=tokens.model,
        weights_hash=tokens.weights_hash,
        sample_rate=tokens.sample_rate,
        channels=tokens.channels,
        n_samples=tokens.n_samples,
        frame_rate=tokens.frame_rate,
        codebook_sizes=tokens.codebook_sizes,
        page_frames=suitable_page_frames(tokens.channels, tokens.codebook_sizes)
        if page_frames is None
        else page_frames,
        skip=tokens.skip,
        metadata=tokens.metadata,
    )


def suitable_page_frames(channels: int, codebook_sizes: tuple[int, ...]) -> int:
    """Frames of a page that keep a file's overhead low without making seeks coarse."""
    bits = channels * sum(bits_of(size) for size in codebook_sizes)
    return _FRAMES_OF_MANY_BITS if bits >= _MANY_BITS_A_FRAME else _FRAMES_OF_FEW_BITS


def header_bytes(header: Header) -> bytes:
    """The header as it stands at the start of a file."""
    body = _body(header)
    return sealed(MAGIC + bytes([VERSION]) + varint(len(body)) + body)


def take_header(source: Source) -> Header:
    """Consume the header at the start of source.

    Raises TokenFileError when it is no token file, needs a newer reader, is damaged, or is cut off.
    """
    try:
        if source.slice(0, len(MAGIC)) != MAGIC:
            raise TokenFileError("this is not a .cdc token file: it does not start with the right signature")
        if (version := source.byte(len(MAGIC))) != VERSION:
            raise TokenFileError(
                f"this .cdc file has format version {version}; reading it needs a newer codec"
            )
        length, start = read_varint(source, len(MAGIC) + 1, MAX_BODY_BYTES)
        whole = source.slice(0, start + length + CRC_BYTES)
        if not seal_holds(whole):
            raise Damaged
        try:
            header = _parse(Source(io.BytesIO(whole[start:-CRC_BYTES])), length)
        except (Ended, ConfigError):
            raise Damaged from None
    except Ended:
        raise TokenFileError(
            "the token file is cut off inside of its header; nothing of it can be read"
        ) from None
    except Damaged:
        raise TokenFileError("the header of the token file is damaged; nothing of it can be read") from None
    source.consume(len(whole))
    return header


def _body(header: Header) -> bytes:
    sizes = header.codebook_sizes
    bits = bits_of(sizes[0])
    if len(set(sizes)) > 1:
        style, bits_field, size_bytes = _EACH_SIZE, 0, b"".join(varint(size) for size in sizes)
    elif sizes[0] != 1 << bits:
        style, bits_field, size_bytes = _ONE_SIZE, 0, varint(sizes[0])
    else:
        style, bits_field, size_bytes = _POWER_OF_TWO, bits - 1, b""
    flags = header.channels - 1 | style << 6
    flags |= (_HAS_HASH if header.weights_hash else 0) | (_HAS_SKIP if header.skip else 0)
    flags |= _HAS_METADATA if header.metadata else 0
    parts = [
        bytes([flags, bits_field | header.entropy << 4, header.codebooks]),
        size_bytes,
        varint(header.sample_rate),
        varint(header.frame_rate.numerator),
        varint(header.frame_rate.denominator),
        varint(header.page_frames),
        varint(0 if header.n_samples is None else header.n_samples + 1),
        _text_bytes(header.model),
        bytes.fromhex(header.weights_hash),
        bytes.fromhex(header.tables),
    ]
    if header.skip:
        parts.append(varint(header.skip))
    if header.metadata:
        parts.append(varint(len(header.metadata)))
        parts += [_text_bytes(key) + _text_bytes(value) for key, value in sorted(header.metadata.items())]
    return b"".join(parts)


def _parse(source: Source, length: int) -> Header:
    """The header from its body; raises Damaged, Ended or ConfigError when it makes no sense."""
    flags, coding, codebooks = source.slice(0, 3)
    at = 3
    sizes, at = _parse_sizes(source, at, flags >> 6, coding & 15, codebooks)
    sample_rate, at = read_varint(source, at, limits.MAX_SAMPLE_RATE)
    numerator, at = read_varint(source, at, limits.MAX_RATE_TERM)
    denominator, at = read_varint(source, at, limits.MAX_RATE_TERM)
    if denominator == 0:
        raise Damaged
    page_frames, at = read_varint(source, at, MAX_PAGE_FRAMES)
    samples, at = read_varint(source, at, limits.MAX_SAMPLES + 1)
    model, at = _parse_text(source, at, limits.MAX_MODEL_BYTES)
    weights_hash, tables, skip, metadata = "", "", 0, {}
    if flags & _HAS_HASH:
        weights_hash = source.slice(at, at + HASH_BYTES).hex()
        at += HASH_BYTES
    if coding >> 4 != PLAIN_PACKING:
        tables = source.slice(at, at + TABLES_BYTES).hex()
        at += TABLES_BYTES
    if flags & _HAS_SKIP:
        skip, at = read_varint(source, at, limits.MAX_SAMPLES)
    if flags & _HAS_METADATA:
        count, at = read_varint(source, at, limits.MAX_METADATA_ENTRIES)
        for _ in range(count):
            key, at = _parse_text(source, at, limits.MAX_METADATA_BYTES)
            metadata[key], at = _parse_text(source, at, limits.MAX_METADATA_BYTES)
    if at != length:
        raise Damaged
    return Header(
        version=VERSION,
        model=model,
        weights_hash=weights_hash,
        sample_rate=sample_rate,
        channels=1 + (flags & 7),
        n_samples=samples - 1 if samples else None,
        frame_rate=Fraction(numerator, denominator),
        codebook_sizes=sizes,
        entropy=coding >> 4,
        page_frames=page_frames,
        skip=skip,
        metadata=metadata,
        tables=tables,
    )


def _parse_sizes(
    source: Source, at: int, style: int, bits_field: int, codebooks: int
) -> tuple[tuple[int, ...], int]:
    if not 1 <= codebooks <= limits.MAX_CODEBOOKS:
        raise Damaged
    if style == _POWER_OF_TWO:
        return (1 << bits_field + 1,) * codebooks, at
    if style == _ONE_SIZE:
        size, at = read_varint(source, at, limits.MAX_CODEBOOK_SIZE)
        return (size,) * codebooks, at
    if style != _EACH_SIZE:
        raise Damaged
    sizes = []
    for _ in range(codebooks):
        size, at = read_varint(source, at, limits.MAX_CODEBOOK_SIZE)
        sizes.append(size)
    return tuple(sizes), at


def _text_bytes(text: str) -> bytes:
    data = text.encode("utf-8")
    return varint(len(data)) + data


def _parse_text(source: Source, at: int, highest: int) -> tuple[str, int]:
    length, at = read_varint(source, at, highest)
    try:
        return source.slice(at, at + length).decode("utf-8"), at + length
    except UnicodeDecodeError:
        raise Damaged from None
