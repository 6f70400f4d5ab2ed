"""Reading a stretch of a seekable token file: only the pages that it needs."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from codec.errors import TokenFileError
from codec.tokenfile.ending import END_MARKER, INDEX_MARKER, TAIL_BYTES, End, find_end, pages_of, read_index
from codec.tokenfile.header import Header, take_header
from codec.tokenfile.pages import MARKER_BYTES, MAX_PAGES, Page, read_page, read_page_head
from codec.tokenfile.scan import is_cut_off, page_is_damaged, require_known_entropy
from codec.tokenfile.source import Damaged, Ended, Source
from codec.tokenfile.span import Span, span_of
from codec.tokens import Codes, Tokens

if TYPE_CHECKING:
    from codec.tokenfile.entropy.tables import Tables


class Layout:
    """Where the pages of a seekable file are: from its index, or else from a walk over the pages' heads.

    Raises TokenFileError when the header, or a part of the file that had to be looked at, is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        begin = file.tell()
        self.header, self._first_page = header_at(file, begin)
        require_known_entropy(self.header)
        self.end, self._stop = end_of(file, self.header, self._first_page)
        if self.end is None and self.header.n_samples is not None:
            raise TokenFileError(is_cut_off(self.header, self._walk()))
        self.frames = self._walk_or_index()

    @property
    def n_samples(self) -> int | None:
        """Samples per channel of the recording, as the header or else the end record says."""
        return self.header.n_samples if self.end is None else self.end.n_samples

    def span(self, start: float | None, end: float | None) -> Span:
        """The frames that hold start to end (seconds); raises ConfigError."""
        return span_of(
            frames=self.frames,
            n_samples=self.n_samples,
            skip=self.header.skip,
            sample_rate=self.header.sample_rate,
            frame_rate=self.header.frame_rate,
            start=start,
            end=end,
        )

    def page(self, number: int) -> Page:
        """A page, its codes still packed; raises TokenFileError."""
        source = self._source_at(self.offsets[number])
        try:
            head = read_page_head(source, 0, self.header, lowest=number, highest=number)
            expected = min(self.header.page_frames, self.frames - number * self.header.page_frames)
            if head.frames != expected:
                raise Damaged
            return read_page(source, 0, head)
        except (Damaged, Ended):
            raise TokenFileError(page_is_damaged(self.header, number)) from None

    def codes(self, page: Page, tables: Tables | None = None) -> Codes:
        """The codes of a page, uint16 [channels, codebooks, frames]; raises TokenFileError.

        tables: of the entropy coding, None for shipped ones.
        """
        try:
            return page.codes(self.header, tables)
        except Damaged:
            raise TokenFileError(page_is_damaged(self.header, page.number)) from None

    def _walk_or_index(self) -> int:
        if self.end is None:
            return self._walk()
        if self.end.index_bytes:
            self._use_index(self.end)
        elif self._walk() != self.end.frames:
            raise TokenFileError(page_is_damaged(self.header, len(self.offsets)))
        return self.end.frames

    def _use_index(self, end: End) -> None:
        start = self._stop - end.index_bytes
        try:
            if start < self._first_page:
                raise Damaged
            sizes, length = read_index(self._source_at(start), 0, pages_of(end.frames, self.header))
            offsets = np.cumsum([self._first_page, *sizes]).tolist()
            if length != end.index_bytes or offsets.pop() != start:
                raise Damaged
        except (Damaged, Ended):
            raise TokenFileError(
                "the index of the token file is damaged (conceal=True does without it)"
            ) from None
        self.offsets: list[int] = offsets

    def _walk(self) -> int:
        """Find the pages by their heads up to the end record or the last whole one; returns their frames."""
        self.offsets = []
        at, frames, header = self._first_page, 0, self.header
        while at < self._stop and frames % header.page_frames == 0:
            number = len(self.offsets)
            try:
                head = read_page_head(
                    self._source_at(at), 0, header, lowest=number, highest=min(number, MAX_PAGES - 1)
                )
                if at + head.size > self._stop:
                    raise Ended
            except Ended:
                if self.end is None:
                    break
                raise TokenFileError(page_is_damaged(header, number)) from None
            except Damaged:
                if self.end is None and (header.n_samples is not None or self._is_torn_ending(at)):
                    break
                raise TokenFileError(page_is_damaged(header, number)) from None
            self.offsets.append(at)
            at += head.size
            frames += head.frames
        if self.end is not None and at != self._stop:
            raise TokenFileError(page_is_damaged(header, len(self.offsets)))
        return frames

    def _is_torn_ending(self, at: int) -> bool:
        """Whether the writer of an open file was stopped in the middle of what follows the last page."""
        return self._source_at(at).slice(0, MARKER_BYTES) in (INDEX_MARKER, END_MARKER)

    def _source_at(self, offset: int) -> Source:
        self._file.seek(offset)
        return Source(self._file)


def header_at(file: BinaryIO, begin: int) -> tuple[Header, int]:
    """The header that starts at `begin` of a seekable file, and where the first page starts."""
    file.seek(begin)
    source = Source(file)
    header = take_header(source)
    return header, begin + source.consumed


def end_of(file: BinaryIO, header: Header, first_page: int) -> tuple[End | None, int]:
    """The end record of a seekable file (None when it has none), and where the pages and the index stop."""
    size = file.seek(0, io.SEEK_END)
    tail_start = max(first_page, size - TAIL_BYTES)
    file.seek(tail_start)
    source = Source(file)
    found = find_end(source.slice(0, source.fill(max(0, size - tail_start))), header)
    if found is None:
        return None, size
    end, length = found
    return end, size - length


def read_stretch(
    file: BinaryIO, start: float | None, end: float | None, tables: Tables | None = None
) -> Tokens:
    """The slice of tokens that holds start to end (seconds); raises TokenFileError or ConfigError."""
    layout = Layout(file)
    header = layout.header
    span = layout.span(start, end)
    size = header.page_frames
    codes = [np.zeros((header.channels, header.codebooks, 0), dtype=np.uint16)]
    for number in range(span.first // size, pages_of(span.last, header) if span.last > span.first else 0):
        base = number * size
        codes.append(
            layout.codes(layout.page(number), tables)[:, :, max(0, span.first - base) : span.last - base]
        )
    tokens = header.tokens(np.concatenate(codes, axis=2), span.n_samples)
    return replace(tokens, skip=span.skip)
