"""Writing bytes out: whole files or nothing for paths, and one kind of error for all that can go wrong."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from codec.errors import ConfigError, OutputError


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write data and flush; raises OutputError when the disk is full, the pipe is closed, and so on."""
    rest = memoryview(data)
    try:
        while rest:
            # An unbuffered file may take only a part; one that does not say how much has taken it all.
            taken = file.write(rest)
            rest = rest[len(rest) if taken is None else taken :]
        flush = getattr(file, "flush", None)
        if flush is not None:
            flush()
    except (OSError, ValueError) as error:
        raise OutputError(f"the token file cannot be written: {_reason(error)}") from None
    except TypeError:
        raise ConfigError("token files are written to a file opened in binary mode ('wb')") from None


@contextmanager
def output(path_or_file: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """A file to write to: a file object as it is; for a path a temporary one that takes its place at the end.

    The temporary file is in the same folder and is removed when the body raises. A path of something that is
    no regular file (a device, a named pipe) is written to directly. Raises OutputError.
    """
    if not isinstance(path_or_file, str | os.PathLike):
        if not hasattr(path_or_file, "write"):
            raise ConfigError(f"a path or a binary file object is needed, not {type(path_or_file).__name__}")
        yield path_or_file
        return
    name = os.fspath(path_or_file)
    try:
        path = os.path.realpath(name)
        direct = os.path.exists(path) and not os.path.isfile(path)
        written = (
            path if direct else os.path.join(os.path.dirname(path), f".codec-{secrets.token_hex(6)}.tmp")
        )
        file = open(written, "wb" if direct else "xb")  # noqa: SIM115 (closed below, before it is renamed)
    except (OSError, ValueError) as error:
        raise OutputError(f"{name} cannot be written: {_reason(error)}") from None
    try:
        with file:
            yield file
        if not direct:
            os.replace(written, path)
    except BaseException as error:
        if not direct:
            with suppress(OSError):
                os.unlink(written)
        if isinstance(error, OSError):
            raise OutputError(f"{name} cannot be written: {_reason(error)}") from None
        raise


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason[:1].lower() + reason[1:]
