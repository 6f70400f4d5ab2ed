"""Token files in: all at once, a stretch of them, or page by page from a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from codec.errors import TokenFileError
from codec.tokenfile.header import Header, take_header
from codec.tokenfile.scan import Lost, Scanner
from codec.tokenfile.seek import end_of, header_at, read_stretch
from codec.tokenfile.source import Damaged, Source, is_seekable, opened
from codec.tokenfile.span import cut
from codec.tokens import Codes, Tokens

PathOrFile = str | os.PathLike[str] | BinaryIO


class PageReader:
    """The codes of a token file page by page, in bounded memory, from a binary stream such as a pipe.

    Iterating gives uint16 [channels, codebooks, frames]. It ends after the end record without reading what
    may follow, or at the end of the stream when the file's header leaves its length open.
    conceal: zeros for frames that are lost, instead of an error, so that the timing stays exact.
    Raises TokenFileError: a damaged header at once, a damaged or missing page when it is reached.
    """

    def __init__(self, file: BinaryIO, *, conceal: bool = False) -> None:
        self._scanner = Scanner(file, conceal)

    @property
    def header(self) -> Header:
        return self._scanner.header

    @property
    def n_samples(self) -> int | None:
        """Samples per channel; None when the header leaves it open and no end record was reached yet."""
        return self._scanner.n_samples

    @property
    def damaged(self) -> list[tuple[int, int]]:
        """The ranges of frames (first, end) that had to be concealed so far."""
        return self._scanner.damaged

    def __iter__(self) -> Iterator[Codes]:
        header = self.header
        for item in self._scanner:
            if not isinstance(item, Lost):
                try:
                    yield item.codes(header)
                    continue
                except Damaged:
                    item = self._scanner.lost_page(item)
            yield np.zeros((header.channels, header.codebooks, item.frames), dtype=np.uint16)

    def require_end(self) -> None:
        """Raise TokenFileError when anything follows the end record."""
        if self._scanner.closed and self._scanner.source.fill(1):
            raise TokenFileError("the token file goes on after its end: it is two files in one, or damaged")


def read(
    file: PathOrFile, *, start: float | None = None, end: float | None = None, conceal: bool = False
) -> Tokens:
    """The tokens in a .cdc file (a path or a binary file object, which may be a pipe).

    start, end: seconds; only the pages needed for this stretch are read, and with frames before and after it,
        so that the tokens decode to exactly its samples: from round(start * sample_rate) on.
    conceal: zeros in the place of damaged pages, and of a file that is cut off what is whole (its n_samples
        is then None), instead of an error.
    Raises TokenFileError when the file is not one, is damaged or is cut off, ConfigError when the stretch is
    not inside of the recording.
    """
    with opened(file) as stream:
        if start is None and end is None:
            return _read_all(stream, conceal)
        if not is_seekable(stream):
            return cut(_read_all(stream, conceal), start, end)
        try:
            begin = stream.tell()
            try:
                return read_stretch(stream, start, end)
            except TokenFileError:
                if not conceal:
                    raise
            stream.seek(begin)
        except OSError as error:
            raise TokenFileError(f"the token file cannot be read: {error.strerror or error}") from None
        return cut(_read_all(stream, conceal), start, end)


def read_header(file: PathOrFile) -> Header:
    """The header of a .cdc file (a path or a binary file object); raises TokenFileError.

    Where the file can be sought in, n_samples is filled in from the end record of a finished stream. The file
    object is left after the header.
    """
    with opened(file) as stream:
        if not is_seekable(stream):
            return take_header(Source(stream))
        try:
            header, first_page = header_at(stream, stream.tell())
            end, _ = end_of(stream, header, first_page)
            stream.seek(first_page)
        except OSError as error:
            raise TokenFileError(f"the token file cannot be read: {error.strerror or error}") from None
        return header if end is None else replace(header, n_samples=end.n_samples)


def _read_all(stream: BinaryIO, conceal: bool) -> Tokens:
    reader = PageReader(stream, conceal=conceal)
    header = reader.header
    pages = [np.zeros((header.channels, header.codebooks, 0), dtype=np.uint16), *reader]
    if not conceal:
        reader.require_end()
    return header.tokens(np.concatenate(pages, axis=2), reader.n_samples)
