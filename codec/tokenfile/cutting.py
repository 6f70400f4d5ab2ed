"""A stretch of a token file as a file of its own, by copying the pages that it needs; no model is needed."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import BinaryIO

from codec.errors import TokenFileError
from codec.tokenfile.copier import PageCopier, seekable
from codec.tokenfile.ending import pages_of
from codec.tokenfile.output import output
from codec.tokenfile.seek import Layout
from codec.tokenfile.source import PathOrFile
from codec.tokens import samples_per_frame


def cut_file(
    src: PathOrFile,
    dst: str | os.PathLike[str] | BinaryIO,
    start: float | None = None,
    end: float | None = None,
) -> None:
    """Copy the pages that hold start to end (seconds) of src to dst: paths (also the same) or binary streams.

    dst has the pages of src whole, under new numbers. Its skip and n_samples say which samples of them are
    wanted: exactly those that reading src with the same start and end gives. The first page holds at least
    `span.RUN_IN_FRAMES` frames before these, or begins where src does, so that a decoder has settled.
    The copy of a stream that was never closed is not closed either, unless end says how long it is.
    Raises ConfigError when the stretch is not inside of the recording, TokenFileError when src is damaged
    where it is needed or cut off, and OutputError when dst cannot be written.
    """
    with seekable(src) as source:
        try:
            _copy(Layout(source), dst, start, end)
        except OSError as error:
            raise TokenFileError(f"the token file cannot be read: {error.strerror or error}") from None


def _copy(
    layout: Layout, dst: str | os.PathLike[str] | BinaryIO, start: float | None, end: float | None
) -> None:
    header = layout.header
    span = layout.span(start, end)
    spf = samples_per_frame(header.sample_rate, header.frame_rate)
    # A file starts where a page starts on a whole sample: every so many pages.
    step = spf.denominator // math.gcd(spf.denominator, header.page_frames)
    first = span.first // header.page_frames // step * step
    last = pages_of(span.last, header) if span.last > span.first else first
    skip = span.skip + int((span.first - first * header.page_frames) * spf)
    with output(dst) as file:
        copier = PageCopier(file, replace(header, skip=skip, n_samples=span.n_samples))
        for number in range(first, last):
            copier.page(layout.page(number))
        if layout.end is not None or span.n_samples is not None:
            copier.close(span.n_samples)
