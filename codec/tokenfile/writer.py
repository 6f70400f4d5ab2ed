"""Token files out: all at once, or page by page while the codes are being made."""

from __future__ import annotations

import os
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from codec.errors import ConfigError, OutputError
from codec.tokenfile.ending import MAX_INDEXED_PAGES, End, end_bytes, index_bytes
from codec.tokenfile.header import PLAIN_PACKING, RANGE_CODING, VERSION, Header, header_bytes, header_of
from codec.tokenfile.output import output, write_all
from codec.tokenfile.pages import pack_page
from codec.tokens import MAX_SAMPLES, Codes, Tokens, check_codes, check_int

if TYPE_CHECKING:
    from codec.tokenfile.entropy.tables import Tables


class PageWriter:
    """Writes a token file to a binary stream, append-only; the stream is flushed after every page.

    header.n_samples may be None; then close() says how long the recording was. A file that is never closed
    still gives every page written so far.
    tables: of the entropy coding; the header then says so (`with_entropy`) whatever it said before.
    Raises OutputError when the stream takes no more, ConfigError for codes that do not fit the header or
    the tables.
    """

    def __init__(self, file: BinaryIO, header: Header, tables: Tables | None = None) -> None:
        if tables is not None:
            header = with_entropy(header, tables)
        elif header.version != VERSION or header.entropy != PLAIN_PACKING:
            raise ConfigError(
                f"only format version {VERSION}, entropy coded with tables or not, can be written"
            )
        self._tables = tables
        self._file = file
        self._header = header
        self._waiting: list[Codes] = []
        self._waiting_frames = 0
        self._frames = 0
        self._pages = 0
        self._page_sizes = array("I")
        self._closed = False
        write_all(file, header_bytes(header))

    def push(self, codes: Codes) -> None:
        """Append codes, uint16 [channels, codebooks, frames >= 0]; whole pages are written at once."""
        if self._closed:
            raise ConfigError("this page writer is closed: no codes can follow")
        check_codes(codes, self._header.codebook_sizes)
        if codes.shape[0] != self._header.channels:
            raise ConfigError(
                f"codes have {codes.shape[0]} channels but the header says {self._header.channels}"
            )
        self._waiting.append(codes)
        self._waiting_frames += codes.shape[2]
        size = self._header.page_frames
        if self._waiting_frames < size:
            # What waits is ours: the caller may reuse the array.
            self._waiting[-1] = codes.copy()
            return
        ready = self._joined()
        whole = self._waiting_frames // size * size
        for start in range(0, whole, size):
            self._write_page(ready[:, :, start : start + size])
        self._waiting = [ready[:, :, whole:].copy()]
        self._waiting_frames -= whole

    def close(self, n_samples: int | None = None) -> None:
        """Write the frames that wait for their page, and the end record; the stream stays open.

        n_samples: samples per channel of the recording; None when it is not known, or the header says it.
        """
        if self._closed:
            return
        promised = self._header.n_samples
        if n_samples is not None and promised is not None and n_samples != promised:
            raise ConfigError(f"the header promised {promised} samples, so close() cannot say {n_samples}")
        if n_samples is not None:
            check_int("n_samples", n_samples, 0, MAX_SAMPLES)
            n_samples = int(n_samples)
        if self._waiting_frames:
            self._write_page(self._joined())
        index = index_bytes(self._page_sizes) if self._pages == len(self._page_sizes) else b""
        end = End(self._frames, n_samples if promised is None else promised, len(index))
        write_all(self._file, index + end_bytes(end, self._header))
        self._waiting, self._waiting_frames, self._closed = [], 0, True

    def _joined(self) -> Codes:
        return self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting, axis=2)

    def _write_page(self, codes: Codes) -> None:
        data = pack_page(self._pages, codes, self._header, self._tables)
        write_all(self._file, data)
        self._pages += 1
        self._frames += codes.shape[2]
        if self._pages <= MAX_INDEXED_PAGES:
            self._page_sizes.append(len(data))


def with_entropy(header: Header, tables: Tables) -> Header:
    """The header of the same file, entropy coded; raises ConfigError when the tables are for other codes."""
    if tables.weights_hash != header.weights_hash or tables.coded(header.codebook_sizes) is None:
        raise ConfigError(
            f"these entropy tables are for the codes of model {tables.model} ({tables.weights_hash}), not of "
            f"{header.model or '?'} ({header.weights_hash or 'no hash'})"
        )
    return replace(header, entropy=RANGE_CODING, tables=tables.id)


def write(
    file: str | os.PathLike[str] | BinaryIO,
    tokens: Tokens,
    *,
    page_frames: int | None = None,
    entropy: bool = True,
    tables: Tables | None = None,
) -> None:
    """Write tokens as a .cdc file, entropy coded where tables for the codes of their model are at hand.

    file: a path, which is replaced by the whole new file or left as it was; or a binary file object.
    page_frames: frames a page; None chooses for little overhead.
    entropy: False packs the codes plainly, which is faster and larger. tables: other tables than those that
    ship with the model (`tokenfile.load_tables`); whoever reads the file needs the same.
    Raises OutputError when the file cannot be written, ConfigError when page_frames is not 1 to 65536, or
    tables are for the codes of another model.
    """
    header = header_of(tokens, page_frames)
    if not entropy:
        tables = None
    elif tables is None:
        from codec.tokenfile.entropy.find import tables_of

        tables = tables_of(tokens.model, tokens.weights_hash)
    with output(file) as stream:
        try:
            writer = PageWriter(stream, header, tables)
            writer.push(tokens.codes)
            writer.close(tokens.n_samples)
        except OutputError as error:
            if isinstance(file, str | os.PathLike):
                raise OutputError(f"{os.fspath(file)}: {error}") from None
            raise
