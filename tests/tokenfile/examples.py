"""Tokens for the tests of the token file."""

from __future__ import annotations

import dataclasses
import io
from fractions import Fraction
from typing import Any, BinaryIO, cast

import numpy as np
from hypothesis import strategies as st

from codec import tokenfile
from codec.tokens import Tokens

FRAME_RATES = [Fraction(50), Fraction(75), Fraction(25, 2), Fraction(11025, 128)]


def some_tokens(
    channels: int = 1,
    codebooks: int = 4,
    frames: int = 100,
    *,
    sizes: tuple[int, ...] | None = None,
    seed: int = 0,
    sample_rate: int = 16000,
    frame_rate: Fraction = Fraction(50),
    n_samples: int | None = -1,
    **fields: Any,
) -> Tokens:
    """Random tokens; n_samples -1 means as many as the frames hold."""
    sizes = sizes or (1024,) * codebooks
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, (channels, frames), dtype=np.uint16) for size in sizes], axis=1)
    if n_samples == -1:
        n_samples = int(frames * sample_rate / frame_rate)
    return Tokens(codes, sizes, frame_rate, sample_rate, n_samples, **fields)


@st.composite
def any_tokens(draw: st.DrawFn, max_frames: int = 2000) -> Tokens:
    size = st.one_of(st.integers(2, 65536), st.sampled_from([2, 1024, 65536]))
    codebooks = draw(st.integers(1, 16))
    sizes = draw(st.one_of(size.map(lambda n: (n,) * codebooks), st.tuples(*[size] * codebooks)))
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    printable = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20)
    return some_tokens(
        channels=draw(st.integers(1, 3)),
        frames=draw(st.one_of(st.integers(0, 20), st.integers(0, max_frames))),
        sizes=sizes,
        seed=draw(st.integers(0, 99)),
        sample_rate=draw(st.integers(1, 768000)),
        frame_rate=draw(st.sampled_from(FRAME_RATES)),
        n_samples=draw(st.one_of(st.none(), st.integers(0, 1 << 40))),
        skip=draw(st.one_of(st.just(0), st.integers(0, 1 << 40))),
        model=draw(printable),
        weights_hash=draw(st.sampled_from(["", "0123456789abcdef", "0" * 16])),
        metadata=draw(st.dictionaries(text, text, max_size=3)),
    )


def file_of(tokens: Tokens, page_frames: int | None = None) -> bytes:
    file = io.BytesIO()
    tokenfile.write(file, tokens, page_frames=page_frames)
    return file.getvalue()


def tokens_of(data: bytes, **options: Any) -> Tokens:
    return tokenfile.read(io.BytesIO(data), **options)


def streamed(tokens: Tokens, page_frames: int, *, close: bool = True) -> bytes:
    """The file of a stream whose length was not known at its start."""
    header = tokenfile.header_of(dataclasses.replace(tokens, n_samples=None), page_frames)
    file = io.BytesIO()
    writer = tokenfile.PageWriter(file, header)
    writer.push(tokens.codes)
    if close:
        writer.close(tokens.n_samples)
    return file.getvalue()


class _Pipe(io.RawIOBase):
    """A stream that cannot be sought in and hands out a few bytes at a time."""

    def __init__(self, data: bytes, at_most: int = 7) -> None:
        self._rest = memoryview(data)
        self._at_most = at_most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation("seek")

    tell = seek

    def readinto(self, buffer) -> int:
        some = self._rest[: min(self._at_most, len(buffer))]
        buffer[: len(some)] = some
        self._rest = self._rest[len(some) :]
        return len(some)


def pipe(data: bytes, at_most: int = 7) -> BinaryIO:
    """data from a pipe that gives at most so many bytes at a time."""
    return cast(BinaryIO, _Pipe(data, at_most))


class Counted(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data
