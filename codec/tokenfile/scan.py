"""Reading a token file from front to back: its whole pages in order, and around damage if that is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from codec.errors import TokenFileError
from codec.tokenfile.ending import (
    END_MARKER,
    INDEX_MARKER,
    TAIL_BYTES,
    End,
    find_end,
    pages_of,
    read_end,
    read_index,
)
from codec.tokenfile.header import PLAIN_PACKING, RANGE_CODING, VERSION, Header, take_header
from codec.tokenfile.pages import MAX_PAGES, PAGE_MARKER, Page, read_page, read_page_head
from codec.tokenfile.source import Damaged, Ended, Source
from codec.tokens import samples_in

_ANY_MARKER = re.compile(b"|".join(re.escape(marker) for marker in (PAGE_MARKER, INDEX_MARKER, END_MARKER)))
_SEARCH_STEP = 1 << 16
# A page number that lies must not make a short file into an endless one: codes filled in for lost pages.
_MAX_LOST_CODES = 1 << 24
# Millions of lost pages of one frame shall not take minutes.
_LOST_AT_ONCE = 1 << 12
# A crafted file could make every byte look like the start of a page; checking them all must end in good time.
_MAX_SEARCHED_BYTES = 1 << 27


@dataclass(frozen=True)
class Lost:
    """Frames that the file should hold but does not: at most a page of them, or `_LOST_AT_ONCE`."""

    frames: int


class Scanner:
    """The pages of a token file in order, from a stream that need not be seekable.

    conceal: give Lost for what is damaged and go on at the next whole page, instead of raising.
    Once the iteration is over, `n_samples` is what is known of the length, `closed` tells whether the end
    record was there, and `damaged` lists the lost ranges of frames.
    Raises TokenFileError for a damaged header at once, for a damaged page when the iteration reaches it.
    """

    def __init__(self, stream: BinaryIO, conceal: bool = False) -> None:
        self.source = Source(stream)
        self.header = take_header(self.source)
        require_known_entropy(self.header)
        self.n_samples = self.header.n_samples
        self.closed = False
        self.damaged: list[tuple[int, int]] = []
        self._conceal = conceal
        self._header_bytes = self.source.consumed
        self._frames = 0
        self._lost_codes = 0
        self._searched_bytes = 0

    def __iter__(self) -> Iterator[Page | Lost]:
        item: Page | End | None
        while not self.closed:
            try:
                item = self._next()
            except Ended:
                if not self._conceal:
                    self._require_open_end()
                    return
                item = self._resync()
            except Damaged:
                if not self._conceal:
                    raise TokenFileError(self._what_is_damaged()) from None
                item = self._resync()
            if item is None:
                self._forget_unsure_length()
                return
            start = item.frames if isinstance(item, End) else item.number * self.header.page_frames
            yield from self._lose(start - self._frames)
            if isinstance(item, End):
                self.n_samples, self.closed = item.n_samples, True
            else:
                self._frames += item.frames
                yield item

    def lost_page(self, page: Page) -> Lost:
        """To be called when the codes of a page turn out to be no codes: the same as if it were not whole."""
        if not self._conceal:
            raise TokenFileError(page_is_damaged(self.header, page.number))
        start = page.number * self.header.page_frames
        self.damaged.append((start, start + page.frames))
        return Lost(page.frames)

    def _next(self) -> Page | End:
        """The next page or end record, consumed; raises Damaged or Ended."""
        source, header = self.source, self.header
        if source.fill(1) == 0:
            raise Ended
        marker = source.slice(0, len(PAGE_MARKER))
        if marker in (INDEX_MARKER, END_MARKER):
            return self._next_end(marker)
        number = pages_of(self._frames, header)
        if number * header.page_frames != self._frames:
            raise Damaged  # a page after the last one
        head = read_page_head(source, 0, header, lowest=number, highest=number)
        page = read_page(source, 0, head)
        source.consume(head.size)
        return page

    def _next_end(self, marker: bytes) -> End:
        index_bytes = 0
        if marker == INDEX_MARKER:
            sizes, index_bytes = read_index(self.source, 0, pages_of(self._frames, self.header))
            if sum(sizes) != self.source.consumed - self._header_bytes:
                raise Damaged
        end, size = read_end(self.source, index_bytes, self.header, expected=(self._frames, index_bytes))
        self.source.consume(index_bytes + size)
        return end

    def _resync(self) -> Page | End | None:
        """The next whole page or end record after damage, consumed; None when there is no more."""
        source, at = self.source, 0
        while True:
            found = source.search(_ANY_MARKER, at)
            if found is None:
                # The last byte may be the first half of a marker.
                source.consume(max(0, source.fill(1) - 1))
                step = min(_SEARCH_STEP, sum(self.header.layer_bytes(self.header.page_frames)) + TAIL_BYTES)
                if source.fill(1 + step) <= 1:
                    return None
                at = 0
                continue
            try:
                item, size = self._item_at(found)
            except (Damaged, Ended):
                at = found + 1
                continue
            source.consume(found + size)
            return item

    def _item_at(self, at: int) -> tuple[Page | End, int]:
        source, header = self.source, self.header
        if source.slice(at, at + len(PAGE_MARKER)) != PAGE_MARKER:
            end, size = read_end(source, at, header, None)
            if end.frames < self._frames:
                raise Damaged
            return end, size
        head = read_page_head(
            source, at, header, lowest=pages_of(self._frames, header), highest=MAX_PAGES - 1
        )
        self._searched_bytes += head.size
        if self._searched_bytes > _MAX_SEARCHED_BYTES + 8 * source.consumed:
            raise TokenFileError("the token file is too damaged: no order can be found in its pages")
        return read_page(source, at, head), head.size

    def _lose(self, frames: int) -> Iterator[Lost]:
        if frames == 0:
            return
        self._lost_codes += frames * self.header.channels * self.header.codebooks
        if self._lost_codes > _MAX_LOST_CODES:
            raise TokenFileError("the token file is too damaged: more of it is lost than can be filled in")
        self.damaged.append((self._frames, self._frames + frames))
        while frames:
            some = min(frames, max(self.header.page_frames, _LOST_AT_ONCE))
            self._frames += some
            frames -= some
            yield Lost(some)

    def _require_open_end(self) -> None:
        """At the end of the stream without an end record: fine while a recording is open, else an error."""
        if self.header.n_samples is not None:
            raise TokenFileError(is_cut_off(self.header, self._frames))
        # The end record is there, yet a page reaches beyond it: that page's head is wrong.
        rest = self.source.fill(1)
        if find_end(self.source.slice(max(0, rest - TAIL_BYTES), rest), self.header) is not None:
            raise TokenFileError(self._what_is_damaged())

    def _forget_unsure_length(self) -> None:
        """Keep the promised length only when the frames that are there cover it."""
        header = self.header
        there = samples_in(self._frames, header.sample_rate, header.frame_rate)
        if self.n_samples is not None and there < header.skip + self.n_samples:
            self.n_samples = None

    def _what_is_damaged(self) -> str:
        rest = self.source.fill(1)
        start = self.source.slice(0, min(rest, 2))
        if any(start[:1] == marker[:1] or start[1:] == marker[1:] for marker in (INDEX_MARKER, END_MARKER)):
            return "the token file is damaged after its last page (conceal=True or --conceal ignores it)"
        return page_is_damaged(self.header, pages_of(self._frames, self.header))


def require_known_entropy(header: Header) -> None:
    """Raise TokenFileError when the codes are packed in a way that this version cannot read."""
    if header.entropy not in (PLAIN_PACKING, RANGE_CODING):
        raise TokenFileError(
            f"this .cdc file (format version {VERSION}) uses entropy coding {header.entropy}; "
            "reading it needs a newer codec"
        )


def page_is_damaged(header: Header, number: int) -> str:
    """One sentence that says which seconds of the recording a damaged page holds."""
    start, end = (seconds_of(header, (number + more) * header.page_frames) for more in (0, 1))
    if header.n_samples is not None:
        end = max(start, min(end, header.n_samples / header.sample_rate))
    return f"page {number} ({start:.2f}-{end:.2f} s) is damaged (conceal=True or --conceal decodes around it)"


def is_cut_off(header: Header, frames: int) -> str:
    """One sentence that says how much of a truncated recording is whole."""
    promised = (header.n_samples or 0) / header.sample_rate
    whole = min(promised, seconds_of(header, frames))
    return (
        f"the token file is cut off: {whole:.2f} of {promised:.2f} s are whole "
        "(conceal=True or --conceal decodes these)"
    )


def seconds_of(header: Header, frames: int) -> float:
    """When in the recording a frame begins, in seconds."""
    return max(0.0, float(frames / header.frame_rate) - header.skip / header.sample_rate)
