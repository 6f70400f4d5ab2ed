"""Pages of token files into a new file: by copying their bytes, under new numbers."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from codec.errors import OutputError, TokenFileError
from codec.tokenfile.ending import MAX_INDEXED_PAGES, End, end_bytes, index_bytes
from codec.tokenfile.header import Header, header_bytes
from codec.tokenfile.output import write_all
from codec.tokenfile.pages import Page, pack_page, page_bytes
from codec.tokenfile.source import PathOrFile, is_seekable, opened
from codec.tokens import Codes

if TYPE_CHECKING:
    from codec.tokenfile.entropy.tables import Tables


class PageCopier:
    """Writes a token file of pages that come from other files; the caller cares for what the header says.

    tables: of the entropy coding, where codes are packed and the tables are not shipped ones.
    Raises OutputError when the stream takes no more.
    """

    def __init__(self, file: BinaryIO, header: Header, tables: Tables | None = None) -> None:
        self._file, self._header, self._tables = file, header, tables
        self._frames = self._pages = 0
        self._page_sizes = array("I")
        write_all(file, header_bytes(header))

    def page(self, page: Page) -> None:
        """Append a page as it is, under the next number; all but the last have the header's page_frames."""
        self._write(page_bytes(Page(self._pages, page.frames, page.layers), self._header), page.frames)

    def codes(self, codes: Codes) -> None:
        """Append codes, uint16 [channels, codebooks, frames], as a page of their own."""
        self._write(pack_page(self._pages, codes, self._header, self._tables), codes.shape[2])

    def close(self, n_samples: int | None) -> None:
        """Write the index and the end record; n_samples: what the header says, else the length if known."""
        index = index_bytes(self._page_sizes) if self._pages == len(self._page_sizes) else b""
        end = End(self._frames, n_samples, len(index))
        write_all(self._file, index + end_bytes(end, self._header))

    def _write(self, data: bytes, frames: int) -> None:
        write_all(self._file, data)
        self._frames += frames
        self._pages += 1
        if self._pages <= MAX_INDEXED_PAGES:
            self._page_sizes.append(len(data))


@contextmanager
def seekable(path_or_file: PathOrFile) -> Iterator[BinaryIO]:
    """A file that can be sought in: what comes from a pipe is first kept in a temporary file.

    Raises TokenFileError when it cannot be read, OutputError when there is no room for the temporary file.
    """
    with opened(path_or_file) as file:
        if is_seekable(file):
            yield file
            return
        with _temporary() as spool:
            try:
                shutil.copyfileobj(file, spool)
                spool.seek(0)
            except OSError as error:
                raise TokenFileError(f"the token file cannot be read: {error.strerror or error}") from None
            yield spool


@contextmanager
def _temporary() -> Iterator[BinaryIO]:
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below; errors of the body must pass unchanged)
    except OSError as error:
        raise OutputError(f"no temporary file can be made: {error.strerror or error}") from None
    with file:
        yield file
