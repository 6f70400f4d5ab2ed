"""An item's audio, opened: a file, a stretch of one, a member of a tar archive, or what a URL gives."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import soundfile

from codec.audio import AudioReader
from codec.errors import AudioError
from codec.scale.items import Item
from codec.scale.listing import is_url

_ATTEMPTS = 3
_COPIED = 1 << 20


class Source:
    """Audio in order, float32 `[channels, samples]` a block, at `sample_rate` Hz."""

    def __init__(self, sample_rate: int, channels: int, blocks: Iterator[np.ndarray]) -> None:
        self.sample_rate, self.channels, self.blocks = sample_rate, channels, blocks


@contextmanager
def opened(item: Item, block: int) -> Iterator[Source]:
    """The audio of an item in blocks of so many samples; raises AudioError, here or while it is read."""
    if item.error:
        raise AudioError(item.error)
    path = item.path
    try:
        with _local(item) as path:
            if item.start or item.duration is not None:
                with _Stretch(path, item) as stretch:
                    yield Source(stretch.sample_rate, stretch.channels, stretch.blocks(block))
            else:
                with AudioReader(path) as reader:
                    yield Source(reader.sample_rate, reader.channels, reader.blocks(block))
    except AudioError as error:
        # A temporary file has a name that nobody knows, and which no two runs share.
        raise AudioError(str(error).replace(path, item.path)) from error


@contextmanager
def _local(item: Item) -> Iterator[str]:
    """The path of a file with the item's bytes."""
    if not is_url(item.source) and item.offset is None:
        yield item.source
        return
    with tempfile.NamedTemporaryFile(prefix="codec-") as file:
        if is_url(item.source):
            _download(item.source, file)  # type: ignore[arg-type]
        else:
            _extract(item, file)  # type: ignore[arg-type]
        file.flush()
        yield file.name


def _extract(item: Item, target: BinaryIO) -> None:
    try:
        with open(item.source, "rb") as archive:
            archive.seek(item.offset or 0)
            left = item.size
            while left and (data := archive.read(min(left, _COPIED))):
                target.write(data)
                left -= len(data)
    except OSError as error:
        raise AudioError(f"{item.path} cannot be read: {error.strerror}.") from error


def _download(url: str, target: BinaryIO) -> None:
    import fsspec  # type: ignore[import-untyped]

    for attempt in range(_ATTEMPTS):
        try:
            target.seek(0)
            target.truncate()
            with fsspec.open(url, "rb") as source:
                shutil.copyfileobj(source, target, _COPIED)
            return
        except FileNotFoundError as error:
            raise AudioError(f"{url} does not exist.") from error
        except Exception as error:  # every store has exceptions of its own
            if attempt == _ATTEMPTS - 1 or isinstance(error, ImportError | ValueError | PermissionError):
                raise AudioError(f"{url} cannot be fetched: {_reason(error)}.") from error
            time.sleep(2**attempt)


def _reason(error: Exception) -> str:
    return ((str(error).strip() or type(error).__name__).splitlines()[0])[:200].rstrip(".")


class _Stretch:
    """A part of a file, sought and not read up to; a context manager."""

    def __init__(self, path: str, item: Item) -> None:
        self._name = item.path
        with AudioReader(path):
            pass  # its sentences about files that are missing, empty or damaged
        try:
            self._file = soundfile.SoundFile(path)
            self.sample_rate, self.channels = int(self._file.samplerate), int(self._file.channels)
            start = round(item.start * self.sample_rate)
            if start >= self._file.frames and start:
                self._file.close()
                length = self._file.frames / self.sample_rate
                raise AudioError(f"{item.path} ends at {length:.3f} s, before {item.start:g} s.")
            self._file.seek(start)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(f"{item.path} cannot be sought in: convert it to WAV or FLAC.") from error
        left = self._file.frames - start
        wanted = left if item.duration is None else round(item.duration * self.sample_rate)
        # Durations are often rounded up by those who write manifests.
        self._left = min(wanted, left)

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        while self._left:
            try:
                block = self._file.read(min(size, self._left), dtype="float32", always_2d=True).T
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise AudioError(f"{self._name} is damaged or cut short.") from error
            if not block.shape[1]:
                raise AudioError(f"{self._name} is cut short: its header promises more samples.")
            if not np.isfinite(block).all():
                raise AudioError(f"{self._name} has samples that are NaN or infinite: repair it first.")
            self._left -= block.shape[1]
            yield np.ascontiguousarray(block)

    def __enter__(self) -> _Stretch:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
