"""Token files one after the other as one, without a model (what is exact: FORMAT.md, Joining)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.copier import PageCopier, seekable
from codec.tokenfile.header import Header
from codec.tokenfile.joints import Length, Part, join
from codec.tokenfile.output import output
from codec.tokenfile.seek import Layout
from codec.tokenfile.source import PathOrFile, opened
from codec.tokens import Codes, samples_in, samples_per_frame

if TYPE_CHECKING:
    from codec.tokenfile.entropy.tables import Tables


@dataclass(frozen=True)
class _Input:
    """A file to be joined, whose tokens start `begin` bytes into it; length.n_samples is known or counted."""

    name: str
    file: PathOrFile
    begin: int
    header: Header
    length: Length
    n_samples: int | None
    closed: bool


def cat(
    srcs: Sequence[PathOrFile], dst: str | os.PathLike[str] | BinaryIO, *, tables: Tables | None = None
) -> None:
    """Join token files: srcs and dst are paths (dst also one of srcs) or binary streams.

    The result is as long as all of them together, to the sample. Every recording begins within half a frame
    of where the one before it ends, and these errors do not add up; it begins exactly there when a whole
    number of frames allows it, as for files that were cut from one. Pages are copied where they fall on page
    borders and packed anew otherwise; no code changes. Metadata and the length of pages are the first file's.
    tables: of the entropy coding, where they are not shipped ones; the result is coded as the first file is.
    A stream without an end record counts with the frames that it has; as the last it leaves the result open.
    Raises ConfigError, naming the difference, for files of different models, bitrates or rates;
    TokenFileError when one of srcs is damaged or cut off, and OutputError when dst cannot be written.
    """
    if not srcs:
        raise ConfigError("there is nothing to join: name the token files")
    with ExitStack() as stack:
        inputs = [_look_at(stack, src, number) for number, src in enumerate(srcs, 1)]
        for other in inputs[1:]:
            _check_same(inputs[0], other)
        first, last = inputs[0], inputs[-1]
        heard = [item for item in inputs if item.length.n_samples] or [first]
        parts = join(
            [item.length for item in heard],
            samples_per_frame(first.header.sample_rate, first.header.frame_rate),
        )
        n_samples = None if last.n_samples is None else sum(item.length.n_samples for item in heard)
        header = replace(first.header, n_samples=n_samples, skip=heard[0].length.skip)
        with output(dst) as file:
            joiner = _Joiner(file, header, tables)
            for item, part in zip(heard, parts, strict=True):
                with _layout(item.file, item.begin, item.name) as layout:
                    joiner.take(layout, part)
            joiner.finish(n_samples, closed=last.closed or n_samples is not None)


class _Joiner:
    """Gathers the frames of several files into the pages of one."""

    def __init__(self, file: BinaryIO, header: Header, tables: Tables | None) -> None:
        self._copier = PageCopier(file, header, tables)
        self._tables = tables
        self._header = _alike(header)
        self._waiting: list[Codes] = []
        self._waiting_frames = 0

    def take(self, layout: Layout, part: Part) -> None:
        """Append what `part` names of a file."""
        size = layout.header.page_frames
        alike = _alike(layout.header) == self._header
        for number in range(part.first // size, -(-part.last // size) if part.last > part.first else 0):
            page, base = layout.page(number), number * size
            whole = page.frames == size and part.first <= base and base + size <= part.last
            if whole and alike and not self._waiting_frames:
                self._copier.page(page)
            else:
                self._push(
                    layout.codes(page, self._tables)[:, :, max(0, part.first - base) : part.last - base]
                )
        if part.held:
            frame = part.last - 1
            codes = layout.codes(layout.page(frame // size), self._tables)
            held = codes[:, :, frame % size : frame % size + 1]
            self._push(np.repeat(held, part.held, axis=2))

    def finish(self, n_samples: int | None, *, closed: bool) -> None:
        """Write what waits for its page to be whole, and the end record if the file shall be closed."""
        if self._waiting_frames:
            self._copier.codes(np.concatenate(self._waiting, axis=2))
        if closed:
            self._copier.close(n_samples)

    def _push(self, codes: Codes) -> None:
        self._waiting.append(codes)
        self._waiting_frames += codes.shape[2]
        size = self._header.page_frames
        if self._waiting_frames >= size:
            joined = np.concatenate(self._waiting, axis=2)
            whole = self._waiting_frames // size * size
            for start in range(0, whole, size):
                self._copier.codes(joined[:, :, start : start + size])
            self._waiting, self._waiting_frames = [joined[:, :, whole:]], self._waiting_frames - whole


def _alike(header: Header) -> Header:
    """The header of a file whose pages can be copied into files with the same."""
    return replace(header, n_samples=None, skip=0, metadata={})


def _look_at(stack: ExitStack, src: PathOrFile, number: int) -> _Input:
    """What there is to know of a file before it is joined; only pipes and file objects stay open."""
    file, begin = src, 0
    name = os.fspath(src) if isinstance(src, str | os.PathLike) else f"input {number}"
    if not isinstance(file, str | os.PathLike):
        file = stack.enter_context(seekable(file))
        begin = file.tell()
    with _layout(file, begin, name) as layout:
        header = layout.header
        there = max(0, samples_in(layout.frames, header.sample_rate, header.frame_rate) - header.skip)
        counted = there if layout.n_samples is None else layout.n_samples
        if counted > there:
            raise TokenFileError(f"it promises {counted} samples, but its frames make at most {there}")
        length = Length(layout.frames, header.skip, counted)
        return _Input(name, file, begin, header, length, layout.n_samples, layout.end is not None)


@contextmanager
def _layout(file: PathOrFile, begin: int, name: str) -> Iterator[Layout]:
    """The layout of a file whose errors name it."""
    with opened(file) as stream:
        try:
            stream.seek(begin)
            yield Layout(stream)
        except OSError as error:
            raise TokenFileError(f"{name}: it cannot be read: {error.strerror or error}") from None
        except TokenFileError as error:
            raise TokenFileError(f"{name}: {error}") from None


def _check_same(first: _Input, other: _Input) -> None:
    """Raise ConfigError, naming the first difference, unless both files can be parts of one."""
    for ours, theirs in zip(_kind(first.header), _kind(other.header), strict=True):
        if ours != theirs:
            raise ConfigError(
                f"{other.name}: it has {theirs}, but {first.name} has {ours}: "
                "only files of one model, bitrate, sample rate and number of channels can be joined"
            )


def _kind(header: Header) -> list[str]:
    """What must be the same in files that are joined, in words."""
    sizes = header.codebook_sizes
    return [
        f"model {header.model or '?'} ({header.weights_hash or 'no hash'})",
        f"{header.sample_rate} Hz",
        f"{header.channels} channel(s)",
        f"{header.frame_rate} frames per second",
        f"{header.codebooks} codebook(s)",
        f"codebooks of {', '.join(map(str, sizes))} entries",
    ]
