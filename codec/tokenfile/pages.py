"""Pages: runs of frames that can be decoded on their own, with number and checksum (layout: FORMAT.md)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codec.tokenfile.checksum import CRC_BYTES, seal_holds, sealed
from codec.tokenfile.header import PLAIN_PACKING, Header
from codec.tokenfile.packing import pack, unpack
from codec.tokenfile.source import Damaged, Source
from codec.tokenfile.varint import read_varint, varint
from codec.tokens import Codes

if TYPE_CHECKING:
    from codec.tokenfile.entropy.tables import Tables

# Any two markers of this format differ in both bytes, so one flipped byte never makes one of another.
PAGE_MARKER = b"\xd3\x9c"
MARKER_BYTES = 2
MAX_PAGES = 1 << 32


@dataclass(frozen=True)
class Page:
    """A whole page. layers: the packed bytes of each codebook."""

    number: int
    frames: int
    layers: tuple[bytes, ...]

    def codes(self, header: Header, tables: Tables | None = None) -> Codes:
        """uint16 [channels, codebooks, frames]; raises Damaged when a code is not in its codebook.

        tables: of the entropy coding, None for those that ship with the package. Raises TokenFileError when
        the page needs tables that are not there.
        """
        found = codes_of([self], header, tables)[0]
        if found is None:
            raise Damaged
        return found


@dataclass(frozen=True)
class PageHead:
    """The start of a page: enough to skip it. The offsets count from the start of the page."""

    number: int
    frames: int
    layer_lengths: Sequence[int]
    payload_start: int

    @property
    def payload_end(self) -> int:
        return self.payload_start + sum(self.layer_lengths)

    @property
    def size(self) -> int:
        """Bytes of the whole page."""
        return self.payload_end + CRC_BYTES


def codes_of(pages: Sequence[Page], header: Header, tables: Tables | None = None) -> list[Codes | None]:
    """As `Page.codes`, of pages with equally many frames; None where a page is damaged.

    Together they are decoded in less time than one by one.
    """
    frames = pages[0].frames
    plain = header.layer_bytes(frames)
    found: list[Codes | None] = [None] * len(pages)
    coded = []
    for number, page in enumerate(pages):
        if [len(layer) for layer in page.layers] != plain:
            coded.append(number)
            continue
        with suppress(Damaged):
            layers = b"".join(page.layers)
            found[number] = unpack(layers, header.codebook_sizes, header.channels, frames)
    if coded:
        from codec.tokenfile.entropy.layers import decode_pages

        layers_of = [pages[number].layers for number in coded]
        for number, codes in zip(coded, decode_pages(layers_of, frames, header, tables), strict=True):
            found[number] = codes
    return found


def pack_page(number: int, codes: Codes, header: Header, tables: Tables | None = None) -> bytes:
    """codes [channels, codebooks, frames] as page `number` of a file, entropy coded if the header says so.

    tables: None for those that ship with the package. Raises TokenFileError when they are not there.
    """
    layers = pack(codes, header.codebook_sizes)
    if header.entropy != PLAIN_PACKING:
        from codec.tokenfile.entropy.layers import encode_layers

        layers = encode_layers(codes, layers, header, tables)
    return page_bytes(Page(number, codes.shape[2], tuple(layers)), header)


def page_bytes(page: Page, header: Header) -> bytes:
    """The page as it stands in a file with this header."""
    plain = header.layer_bytes(page.frames)
    lengths = [len(layer) for layer in page.layers]
    if header.entropy == PLAIN_PACKING:
        listed = len(set(lengths)) > 1
        numbers = lengths if listed else lengths[:1]
    else:
        listed = lengths != plain
        numbers = [most - length for most, length in zip(plain, lengths, strict=True)] if listed else []
    head = [PAGE_MARKER, varint(page.number), varint(page.frames << 1 | listed), *map(varint, numbers)]
    return sealed(b"".join([*head, *page.layers]))


def read_page_head(source: Source, at: int, header: Header, lowest: int, highest: int) -> PageHead:
    """The head of the page `at` bytes into source's window, whose number must be in lowest..highest.

    Checks each field before it reads the next, so a damaged head is not taken for one that is cut off.
    Raises Damaged; Ended at the end of the stream.
    """
    start = at
    if source.slice(at, at + MARKER_BYTES) != PAGE_MARKER:
        raise Damaged
    number, at = read_varint(source, at + MARKER_BYTES, highest)
    if number < lowest:
        raise Damaged
    coded_frames, at = read_varint(source, at, header.page_frames << 1 | 1)
    frames, listed = coded_frames >> 1, coded_frames & 1
    if frames == 0:
        raise Damaged
    read_lengths = _read_plain_lengths if header.entropy == PLAIN_PACKING else _read_coded_lengths
    lengths, at = read_lengths(source, at, header, frames, bool(listed))
    return PageHead(number, frames, lengths, at - start)


def read_page(source: Source, at: int, head: PageHead) -> Page:
    """The page `at` bytes into source's window, after its head; raises Damaged or Ended."""
    whole = source.slice(at, at + head.size)
    if not seal_holds(whole):
        raise Damaged
    layers, start = [], head.payload_start
    for length in head.layer_lengths:
        layers.append(whole[start : start + length])
        start += length
    return Page(head.number, head.frames, tuple(layers))


def least_bytes(header: Header, frames: int) -> int:
    """Bytes that an entropy coded layer has at least, so that a small file is never long to decode."""
    return -(-header.channels * frames // 64)


def _read_plain_lengths(
    source: Source, at: int, header: Header, frames: int, listed: bool
) -> tuple[Sequence[int], int]:
    """Plain packing leaves no choice for the lengths: reading them is a check."""
    lengths = header.layer_bytes(frames)
    if listed != (len(set(lengths)) > 1):
        raise Damaged
    for expected in lengths if listed else lengths[:1]:
        length, at = read_varint(source, at, expected)
        if length != expected:
            raise Damaged
    return lengths, at


def _read_coded_lengths(
    source: Source, at: int, header: Header, frames: int, listed: bool
) -> tuple[Sequence[int], int]:
    """Entropy coding lists how many bytes each layer saves; a layer that saves none is packed plainly."""
    plain = header.layer_bytes(frames)
    if not listed:
        return plain, at
    lengths, least = [], least_bytes(header, frames)
    for most in plain:
        saved, at = read_varint(source, at, max(0, most - least))
        lengths.append(most - saved)
    if lengths == plain:
        raise Damaged
    return lengths, at
