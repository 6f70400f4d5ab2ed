"""The records after the last page: where the pages are, and how long the recording is (layout: FORMAT.md)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from codec import tokens as limits
from codec.tokenfile.checksum import CRC_BYTES, seal_holds, sealed
from codec.tokenfile.header import Header
from codec.tokenfile.pages import MARKER_BYTES, MAX_PAGES
from codec.tokenfile.source import Damaged, Ended, Source
from codec.tokenfile.varint import read_varint, varint

INDEX_MARKER = b"\xb1\x65"
END_MARKER = b"\xe8\xa7"
# An index in a file of fewer pages would cost more bytes than the seeks that it saves are worth.
PAGES_WITHOUT_INDEX = 16
# Longer files are sought in page by page; this bounds the index that is held in memory.
MAX_INDEXED_PAGES = 1 << 20
MAX_FRAMES = MAX_PAGES << 16
_MAX_PAGE_BYTES = 1 << 27
_MAX_INDEX_BYTES = 1 << 23
_SAMPLES_BYTES = 6
# Bytes at the end of a file that surely hold the end record.
TAIL_BYTES = 64


@dataclass(frozen=True)
class End:
    """The end record. n_samples: of the recording, when the header did not know it yet.

    index_bytes: bytes of the index record right before it, 0 for none.
    """

    frames: int
    n_samples: int | None
    index_bytes: int


def pages_of(frames: int, header: Header) -> int:
    """Pages that hold so many frames."""
    return -(-frames // header.page_frames)


def index_bytes(page_sizes: Sequence[int]) -> bytes:
    """The index record: the bytes of every page. Empty when the file has too few pages, or too many."""
    if not PAGES_WITHOUT_INDEX < len(page_sizes) <= MAX_INDEXED_PAGES:
        return b""
    return sealed(INDEX_MARKER + b"".join(varint(size) for size in page_sizes))


def end_bytes(end: End, header: Header) -> bytes:
    """The end record as it stands in a file; its last 5 bytes are its length before them and the CRC."""
    body = END_MARKER + varint(end.frames)
    if header.n_samples is None:
        body += (0 if end.n_samples is None else end.n_samples + 1).to_bytes(_SAMPLES_BYTES, "little")
    if pages_of(end.frames, header) > PAGES_WITHOUT_INDEX:
        body += varint(end.index_bytes)
    return sealed(body + bytes([len(body)]))


def read_index(source: Source, at: int, pages: int) -> tuple[list[int], int]:
    """The size of each page from the index record `at` bytes into source, and the bytes of that record.

    Raises Damaged or Ended.
    """
    start = at
    if (
        not PAGES_WITHOUT_INDEX < pages <= MAX_INDEXED_PAGES
        or source.slice(at, at + MARKER_BYTES) != INDEX_MARKER
    ):
        raise Damaged
    at += MARKER_BYTES
    sizes = []
    for _ in range(pages):
        size, at = read_varint(source, at, _MAX_PAGE_BYTES)
        sizes.append(size)
    if not seal_holds(source.slice(start, at + CRC_BYTES)):
        raise Damaged
    return sizes, at + CRC_BYTES - start


def read_end(source: Source, at: int, header: Header, expected: tuple[int, int] | None) -> tuple[End, int]:
    """The end record `at` bytes into source's window, and its bytes; raises Damaged or Ended.

    expected: the frames and the bytes of index that the file has shown so far, None when that is not known.
    Another number is damage, and is seen as such before it can mislead about where the next field is.
    """
    start = at
    if source.slice(at, at + MARKER_BYTES) != END_MARKER:
        raise Damaged
    total, at = read_varint(source, at + MARKER_BYTES, MAX_FRAMES)
    if expected is not None and total != expected[0]:
        raise Damaged
    n_samples, index = header.n_samples, 0
    if n_samples is None:
        coded = int.from_bytes(source.slice(at, at + _SAMPLES_BYTES), "little")
        if coded > limits.MAX_SAMPLES + 1:
            raise Damaged
        n_samples = coded - 1 if coded else None
        at += _SAMPLES_BYTES
    if pages_of(total, header) > PAGES_WITHOUT_INDEX:
        index, at = read_varint(source, at, _MAX_INDEX_BYTES)
        if expected is not None and index != expected[1]:
            raise Damaged
    length = at - start
    whole = source.slice(start, at + 1 + CRC_BYTES)
    if whole[length] != length or not seal_holds(whole):
        raise Damaged
    return End(total, n_samples, index), len(whole)


def find_end(tail: bytes, header: Header) -> tuple[End, int] | None:
    """The end record that `tail`, the last bytes of a file, ends with, and its bytes; None without one."""
    size = (tail[-CRC_BYTES - 1] if len(tail) > CRC_BYTES else 0) + 1 + CRC_BYTES
    if size > len(tail):
        return None
    try:
        end, found = read_end(Source(io.BytesIO(tail[-size:])), 0, header, None)
    except (Damaged, Ended):
        return None
    return (end, size) if found == size else None
