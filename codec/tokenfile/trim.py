"""A lower bitrate of a token file by copying bytes: no model, no re-encoding, not even unpacking."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import BinaryIO

from codec.errors import TokenFileError
from codec.tokenfile.copier import PageCopier
from codec.tokenfile.output import output
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
            copier = PageCopier(file, header)
            for page in scanner:
                if isinstance(page, Lost):
                    raise TokenFileError("a part of the token file is lost")
                copier.page(replace(page, layers=page.layers[:keep]))
            if scanner.closed:
                copier.close(scanner.n_samples)
