"""Audio in: files, pipes and arrays, as float32 `[channels, samples]`; also a door to the other parts."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile

from codec.audio_writer import AudioWriter
from codec.containers import examine
from codec.errors import AudioError, ConfigError
from codec.pcm import RawFormat, decode_samples, read_wav_header
from codec.resampling import Resampler, output_length, resample

__all__ = [
    "MAX_CHANNELS",
    "AudioReader",
    "AudioWriter",
    "RawFormat",
    "Resampler",
    "check_audio",
    "output_length",
    "read_audio",
    "resample",
]

MAX_CHANNELS = 8
_UNTRUSTED_LENGTH = {"MP3", "MPEG", "OGG"}
_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}


def check_audio(x: Any) -> np.ndarray:
    """Any array of samples as float32 `[channels, samples]`, contiguous.

    Takes `[samples]` or `[channels, samples]` of a float type (full scale 1.0), int16, int32 or uint8
    (offset binary). Raises AudioError for other shapes and types, for 0 or more than 8 channels, and for
    NaN or infinity.
    """
    try:
        array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        raise AudioError("Audio must be an array of numbers, [samples] or [channels, samples].") from error
    if array.ndim not in (1, 2):
        raise AudioError(
            f"Audio must be [samples] or [channels, samples], not an array of shape {array.shape}."
        )
    if array.ndim == 1:
        array = array[None]
    _check_channels(array.shape[0], f"Audio of shape {array.shape}, read as [channels, samples],")
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.name in _FULL_SCALE:
        array = array / _FULL_SCALE[array.dtype.name]
    elif not np.issubdtype(array.dtype, np.floating):
        raise AudioError(
            f"Audio of type {array.dtype} has no known full scale: use float32, int16, int32 or uint8."
        )
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    bad = _first_bad(array)
    if bad is not None:
        raise AudioError(
            f"Audio must be finite, but sample {bad} is NaN or infinite (or too large for float32)."
        )
    return array


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """A whole recording as float32 `[channels, samples]`, and its sample rate in Hz; raises AudioError."""
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(1 << 16))
        if not blocks:
            return np.zeros((reader.channels, 0), dtype=np.float32), reader.sample_rate
        return np.concatenate(blocks, axis=1), reader.sample_rate


class AudioReader:
    """A recording, read in order and in bounded memory: a file of any kind that libsndfile knows, or a pipe.

    `path` is a file, a named pipe, or "-" for standard input. `raw` says what headerless samples are.
    A pipe with a WAV or raw samples is read as it arrives; other formats on a pipe go to a temporary file
    first. Attributes: `sample_rate` (Hz), `channels`, and `n_samples` per channel, None where only reading to
    the end tells (MP3, Ogg, streamed WAV). Raises AudioError, with a sentence that names the file.
    """

    def __init__(self, path: str | Path, *, raw: RawFormat | None = None) -> None:
        self.name = "standard input" if str(path) == "-" else str(path)
        self._position = 0
        self._source = _open_source(path, self.name, raw)
        self.sample_rate = self._source.sample_rate
        self.channels = self._source.channels
        self.n_samples = self._source.n_samples
        try:
            _check_channels(self.channels, self.name)
        except AudioError:
            self.close()
            raise

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Yield float32 `[channels, size]`; the last block may be shorter, and is never empty."""
        if size < 1:
            raise ConfigError(f"Blocks of {size} samples are not possible: ask for at least 1.")
        while True:
            block = self._source.read(size)
            if block.shape[1] == 0:
                return
            bad = _first_bad(block)
            if bad is not None:
                time = (self._position + bad) / self.sample_rate
                raise AudioError(
                    f"{self.name} has a sample that is NaN or infinite at {time:.3f} s: repair it first."
                )
            self._position += block.shape[1]
            yield block

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._source.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_channels(channels: int, name: str) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name} has {channels} channels: 1 to {MAX_CHANNELS} are supported.")


def _first_bad(block: np.ndarray) -> int | None:
    """Index along the last axis of the first sample that is not finite."""
    finite = np.isfinite(block).all(axis=0)
    return None if finite.all() else int(np.argmin(finite))


class _Source(Protocol):
    sample_rate: int
    channels: int
    n_samples: int | None

    def read(self, n: int) -> np.ndarray: ...  # float32 [channels, <= n]; empty only at the end

    def close(self) -> None: ...


class _PcmSource:
    """Plain samples from a file or a pipe; with `n_samples` None the recording ends where the stream ends."""

    def __init__(
        self, file: BinaryIO, fmt: RawFormat, n_samples: int | None, name: str, strict: bool
    ) -> None:
        self.sample_rate = fmt.sample_rate
        self.channels = fmt.channels
        self.n_samples = n_samples
        self._file, self._format, self._name, self._strict = file, fmt, name, strict
        self._left = n_samples

    def read(self, n: int) -> np.ndarray:
        wanted = n if self._left is None else min(n, self._left)
        try:
            data = self._file.read(wanted * self._format.frame_bytes)
        except OSError as error:
            raise AudioError(f"{self._name} cannot be read: {error.strerror}.") from error
        frames, rest = divmod(len(data), self._format.frame_bytes)
        if self._left is not None:
            if frames < wanted:
                raise AudioError(f"{self._name} is cut short: its header promises {self.n_samples} samples.")
            self._left -= frames
        elif rest and self._strict:
            raise AudioError(
                f"{self._name} ends in the middle of a sample: is it {self._format.dtype} "
                f"with {self.channels} channel(s)?"
            )
        return decode_samples(data[: frames * self._format.frame_bytes], self._format)

    def close(self) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()


class _InOrder(soundfile.SoundFile):
    """soundfile seeks after every read, which fails at the end of a FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class _SoundFileSource:
    def __init__(self, file: str | int, name: str, length_known: bool) -> None:
        self._name = name
        try:
            self._file = _InOrder(file)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(f"{name} is not a recording that can be read, or it is damaged.") from error
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        trusted = length_known and self._file.format not in _UNTRUSTED_LENGTH and self._file.frames < 2**62
        self.n_samples: int | None = int(self._file.frames) if trusted else None
        self._count = 0

    def read(self, n: int) -> np.ndarray:
        try:
            block = self._file.read(n, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            time = self._count / self.sample_rate
            raise AudioError(
                f"{self._name} is damaged or cut short: it cannot be decoded after {time:.2f} s."
            ) from error
        self._count += len(block)
        if len(block) == 0 and self.n_samples is not None and self._count < self.n_samples:
            raise AudioError(f"{self._name} is cut short: its header promises {self.n_samples} samples.")
        return np.ascontiguousarray(block.T)

    def close(self) -> None:
        self._file.close()


def _open_source(path: str | Path, name: str, raw: RawFormat | None) -> _Source:
    if str(path) == "-":
        return _open_pipe(sys.stdin.buffer, name, raw)
    try:
        file = open(path, "rb")  # noqa: SIM115 - the source keeps it
        mode = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise AudioError(f"{name} does not exist.") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name} is a folder, not a recording.") from error
    except PermissionError as error:
        raise AudioError(f"{name} cannot be read: permission denied.") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error
    try:
        if stat.S_ISREG(mode.st_mode):
            return _open_file(file, os.fspath(path), name, raw)
        return _open_pipe(file, name, raw)
    except BaseException:
        file.close()
        raise


def _open_file(file: BinaryIO, path: str, name: str, raw: RawFormat | None) -> _Source:
    size = os.fstat(file.fileno()).st_size
    if raw is not None:
        return _PcmSource(file, raw, None, name, strict=True)
    if size == 0:
        raise AudioError(f"{name} is empty: it holds no recording.")
    header, consumed = read_wav_header(file)
    if header is not None:
        frames = None if header.data_bytes is None else header.data_bytes // header.format.frame_bytes
        if header.data_bytes is not None and header.data_bytes > size - len(consumed):
            raise AudioError(f"{name} is cut short: its header promises {frames} samples.")
        return _PcmSource(file, header.format, frames, name, strict=False)
    container = examine(file)
    if container.cut:
        raise AudioError(f"{name} is cut short: its end is missing.")
    if not container.length_known:
        with file:
            return _SoundFileSource(_as_pipe(file), name, length_known=False)
    file.close()
    return _SoundFileSource(path, name, length_known=True)


def _open_pipe(file: BinaryIO, name: str, raw: RawFormat | None) -> _Source:
    if raw is not None:
        return _PcmSource(file, raw, None, name, strict=True)
    header, consumed = read_wav_header(file)
    if header is not None:
        frames = None if header.data_bytes is None else header.data_bytes // header.format.frame_bytes
        return _PcmSource(file, header.format, frames, name, strict=False)
    if not consumed:
        raise AudioError(f"{name} is empty: it holds no recording.")
    try:
        with tempfile.NamedTemporaryFile(prefix="codec-") as spool:
            spool.write(consumed)
            shutil.copyfileobj(file, spool)
            spool.flush()
            # What is opened here outlives the name, so that nothing is left behind whatever happens.
            source = _open_file(open(spool.name, "rb"), spool.name, name, None)  # noqa: SIM115
    except OSError as error:
        raise AudioError(f"{name} cannot be stored in a temporary file: {error.strerror}.") from error
    if file is not sys.stdin.buffer:
        file.close()
    return source


def _as_pipe(file: BinaryIO) -> int:
    """A descriptor from which `file` can be read but not sought, so that libsndfile reads to the real end."""
    read_end, write_end = os.pipe()
    source = open(os.dup(file.fileno()), "rb")  # noqa: SIM115 - the thread closes it, whatever happens to `file`
    source.seek(0)

    def feed() -> None:
        try:
            with source, open(write_end, "wb", buffering=0) as pipe:
                shutil.copyfileobj(source, pipe)
        except OSError:
            pass  # the reader closed its end early, which is its right

    threading.Thread(target=feed, daemon=True).start()
    return read_end
