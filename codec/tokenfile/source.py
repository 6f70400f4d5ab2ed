"""Bytes of a stream, looked at before they are consumed, and never more of them than somebody asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from codec.errors import ConfigError, TokenFileError

# A read is made in steps of this many bytes, so that a length that lies costs no memory.
STEP = 1 << 20

PathOrFile = str | os.PathLike[str] | BinaryIO


class Damaged(Exception):
    """What comes next cannot be what was written; becomes a TokenFileError or is concealed."""


class Ended(Exception):
    """The stream ends inside of what comes next."""


class Source:
    """A window on a binary stream; it reads no more than is needed, as a pipe may have no more yet."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._window = bytearray()
        self.consumed = 0

    def fill(self, size: int) -> int:
        """Have `size` bytes in the window, or all up to the end of the stream; how many there are now."""
        while len(self._window) < size:
            chunk = self._read(min(size - len(self._window), STEP))
            if not chunk:
                break
            self._window += chunk
        return len(self._window)

    def byte(self, at: int) -> int:
        """The byte `at` into the window; raises Ended."""
        if at >= len(self._window) and self.fill(at + 1) <= at:
            raise Ended
        return self._window[at]

    def slice(self, start: int, end: int) -> bytes:
        """Bytes start to end of the window; raises Ended."""
        if self.fill(end) < end:
            raise Ended
        return bytes(memoryview(self._window)[start:end])

    def search(self, pattern: re.Pattern[bytes], start: int) -> int | None:
        """Where in the window, as it is now, pattern comes first at or after start."""
        found = pattern.search(self._window, start)
        where = None if found is None else found.start()
        del found  # a match keeps the window from being resized
        return where

    def rest(self) -> bytes:
        """All that comes until the end of the stream."""
        size = len(self._window)
        while (filled := self.fill(size + STEP)) > size:
            size = filled
        return bytes(self._window)

    def consume(self, size: int) -> None:
        """Drop the first bytes of the window."""
        del self._window[:size]
        self.consumed += size

    def _read(self, size: int) -> bytes:
        try:
            chunk = self._stream.read(size)
        except OSError as error:
            raise TokenFileError(f"the token file cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise ConfigError(f"the token file cannot be read: {error}") from None
        if isinstance(chunk, str):
            raise ConfigError("token files are read from a file opened in binary mode ('rb')")
        return chunk


@contextmanager
def opened(path_or_file: PathOrFile) -> Iterator[BinaryIO]:
    """A path opened for reading and closed afterwards, or the file object as it is; raises TokenFileError."""
    if not isinstance(path_or_file, str | os.PathLike):
        if not hasattr(path_or_file, "read"):
            raise ConfigError(f"a path or a binary file object is needed, not {type(path_or_file).__name__}")
        yield path_or_file
        return
    try:
        file = open(path_or_file, "rb")  # noqa: SIM115 (closed below; errors of the body must pass unchanged)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TokenFileError(f"{os.fspath(path_or_file)} cannot be opened: {reason}") from None
    with file:
        yield file


def is_seekable(file: BinaryIO) -> bool:
    """Whether the file object can be sought in; false for pipes."""
    seekable = getattr(file, "seekable", None)
    return bool(seekable is not None and seekable())
