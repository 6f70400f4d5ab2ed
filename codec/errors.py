"""The exceptions that codec raises on purpose; every message is one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator


class CodecError(Exception):
    """Base of all errors that a user of codec may want to catch."""


class AudioError(CodecError):
    """Audio that cannot be used: unreadable, empty of meaning, not finite, or with too many channels."""


class TokenFileError(CodecError):
    """A token file that is damaged, not a token file, or of a version that this reader must refuse."""


class ModelError(CodecError):
    """A model that cannot be found, cannot be loaded, or did not make the tokens that it should decode."""


class CheckpointError(ModelError):
    """A checkpoint of another codec that cannot be imported: unsafe, damaged, or not what it seems to be."""


class ConfigError(CodecError):
    """A configuration whose values make no sense, alone or together."""


class OutputError(CodecError):
    """An output that cannot be written: it exists, its folder is read-only, or the disk is full."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, each once: libraries raise errors from later ones, in circles."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        found = left.pop()
        if found is not None and id(found) not in seen:
            yield found
            seen.add(id(found))
            left += [found.__context__, found.__cause__]
