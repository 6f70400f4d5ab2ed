"""A lower bitrate of a token file by copying bytes: no model, no re-encoding, not even unpacking."""

from __future__ import annotations

import os
from array import array
from dataclasses import replace
from typing import BinaryIO

from codec.errors import TokenFileError
from codec.tokenfile.ending import MAX_INDEXED_PAGES, End, end_bytes, index_bytes
from codec.tokenfile.header import header_bytes
from codec.tokenfile.output import output, write_all
from codec.tokenfile.pages import Page, page_bytes
from codec.tokenfile.scan import Lost, Scanner
from codec.tokenfile.source import opened
from codec.tokens import codebooks_for


def trim(
    src: str | os.PathLike[str] | BinaryIO, dst: str | os.PathLike[str] | BinaryIO, codebooks: int
) -> None:
    """Copy the first codebooks of each page of src to dst, which are paths (also the same) or binary streams.

    The copy of a stream that was never closed is not closed either.
    Raises ConfigError when src has fewer codebooks, TokenFileError when it is damaged or cut off, and
    OutputError when dst cannot be written.
    """
    with opened(src) as source_file:
        scanner = Scanner(source_file)
        keep = codebooks_for(None, codebooks, scanner.header.frame_rate, scanner.header.codebook_sizes)
        header = replace(scanner.header, codebook_sizes=scanner.header.codebook_sizes[:keep])
        with output(dst) as file:
            write_all(file, header_bytes(header))
            frames = pages = 0
            page_sizes = array("I")
            for page in scanner:
                if isinstance(page, Lost):
                    raise TokenFileError("a part of the token file is lost")
                data = page_bytes(Page(page.number, page.frames, page.layers[:keep]))
                write_all(file, data)
                frames += page.frames
                pages += 1
                if pages <= MAX_INDEXED_PAGES:
                    page_sizes.append(len(data))
            if scanner.closed:
                index = index_bytes(page_sizes) if pages == len(page_sizes) else b""
                write_all(file, index + end_bytes(End(frames, scanner.n_samples, len(index)), header))
