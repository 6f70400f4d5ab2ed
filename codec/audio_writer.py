"""Audio out: WAV written by ourselves, other formats by libsndfile; no short write goes unseen."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile

from codec.errors import AudioError, OutputError
from codec.pcm import Encoding, RawFormat, encode_samples, to_integers, wav_header
from codec.resampling import MAX_RATE

_WAV_SUBTYPES: dict[str, Encoding] = {
    "PCM_U8": "u8",
    "PCM_16": "s16le",
    "PCM_24": "s24le",
    "PCM_32": "s32le",
    "FLOAT": "f32le",
    "DOUBLE": "f64le",
}
_ENCODED = {
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", None),
}
_INTEGER_BITS = {"PCM_16": 16, "PCM_24": 24}
# libsndfile's Vorbis encoder keeps a whole write on its stack.
_ENCODER_BLOCK = 1 << 14


class AudioWriter:
    """A recording to write, as a context manager; samples are clipped to [-1, 1] and rounded to the nearest.

    The suffix of `path` chooses the format: .wav (16-bit unless `subtype` says PCM_U8, PCM_24, PCM_32, FLOAT
    or DOUBLE; RF64 from 4 GiB), .flac, .ogg, .opus or .mp3. The file appears under its name, complete, when
    the block ends; after an exception there is none. "-" (standard output) and named pipes get a WAV of
    unstated length, each write as it comes.
    Raises OutputError, with a sentence that names the output.
    """

    def __init__(self, path: str | Path, sample_rate: int, channels: int, subtype: str | None = None) -> None:
        self.name = "standard output" if str(path) == "-" else str(path)
        self.sample_rate = sample_rate
        self.channels = channels
        self._count = 0
        self._encoder: soundfile.SoundFile | None = None
        self._target: Path | None = None
        self._partial: Path | None = None
        if not (1 <= sample_rate <= MAX_RATE and 1 <= channels <= 0xFFFF):
            raise OutputError(
                f"{self.name} cannot be written at {sample_rate} Hz with {channels} channel(s)."
            )
        suffix = Path(path).suffix.lower()
        piped = str(path) == "-" or (
            os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
        )
        self._wav: RawFormat | None = None
        if piped or suffix == ".wav":
            encoding = _WAV_SUBTYPES.get(subtype or "PCM_16")
            if encoding is None:
                raise OutputError(
                    f"A WAV of type {subtype} cannot be written: use one of {', '.join(_WAV_SUBTYPES)}."
                )
            self._wav = RawFormat(sample_rate, channels, encoding)
        elif suffix not in _ENCODED:
            known = ", ".join([".wav", *_ENCODED])
            raise OutputError(f"{self.name} has no suffix that names an audio format: use one of {known}.")
        self._sink = self._open(path, piped)
        try:
            if self._wav is not None:
                self._sink.write(wav_header(self._wav, streaming=piped))
                self._check()
            else:
                self._encoder = self._open_encoder(suffix, subtype)
        except BaseException:
            self._abandon()
            raise

    def write(self, x: np.ndarray) -> None:
        """Append float `[channels, n]`; raises AudioError for another shape, NaN or infinity."""
        if x.ndim != 2 or x.shape[0] != self.channels:
            raise AudioError(
                f"{self.name} takes {self.channels} channel(s), not an array of shape {x.shape}."
            )
        if not np.isfinite(x).all():
            raise AudioError(f"{self.name} cannot hold samples that are NaN or infinite.")
        x = np.clip(x, -1.0, 1.0)
        self._count += x.shape[1]
        if self._wav is not None:
            self._sink.write(encode_samples(x, self._wav.dtype))
        else:
            self._encode(x)
        self._check()

    def _encode(self, x: np.ndarray) -> None:
        assert self._encoder is not None
        bits = _INTEGER_BITS.get(self._encoder.subtype)
        for start in range(0, x.shape[1], _ENCODER_BLOCK):
            frames: np.ndarray = np.ascontiguousarray(
                x[:, start : start + _ENCODER_BLOCK].T, dtype=np.float32
            )
            if bits is not None:  # libsndfile would round down
                frames = to_integers(frames, bits) << (32 - bits)
            try:
                self._encoder.write(frames)
            except (soundfile.SoundFileError, RuntimeError, AssertionError) as error:
                self._check()
                raise OutputError(f"{self.name} cannot be written: the encoder failed.") from error
            self._check()

    def _open(self, path: str | Path, piped: bool) -> _Sink:
        if str(path) == "-":
            sys.stdout.flush()
            # Unbuffered: what a reader who left never took must not be complained about again at exit.
            return _Sink(getattr(sys.stdout.buffer, "raw", sys.stdout.buffer), owned=False)
        try:
            if piped:
                return _Sink(open(path, "wb", buffering=0), owned=True)
            if os.path.isdir(path):
                raise OutputError(f"{self.name} is a folder: give the name of a file.")
            self._target = Path(os.path.realpath(path))
            self._partial = self._target.with_name(f".{self._target.name}.{os.urandom(4).hex()}.part")
            return _Sink(open(self._partial, "xb+"), owned=True)
        except OSError as error:
            raise OutputError(f"{self.name} cannot be written: {_reason(error)}.") from error

    def _open_encoder(self, suffix: str, subtype: str | None) -> soundfile.SoundFile:
        container, default = _ENCODED[suffix]
        try:
            return soundfile.SoundFile(
                self._sink, "w", self.sample_rate, self.channels, format=container, subtype=subtype or default
            )
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
            self._check()
            raise OutputError(
                f"{self.name} cannot be written: {container} does not take {self.channels} channel(s) "
                f"at {self.sample_rate} Hz{f' as {subtype}' if subtype else ''}; a .wav does."
            ) from error

    def _finish(self) -> None:
        if self._encoder is not None:
            if self._count == 0 and self._encoder.format != "OGG":
                raise OutputError(f"{self.name} cannot hold a recording without samples: write a .wav.")
            encoder, self._encoder = self._encoder, None
            try:
                encoder.close()
            except (soundfile.SoundFileError, RuntimeError) as error:
                self._check()
                raise OutputError(f"{self.name} cannot be written: the encoder failed.") from error
        elif self._wav is not None and self._partial is not None:
            data_bytes = self._count * self._wav.frame_bytes
            self._sink.write(bytes(data_bytes % 2))
            self._sink.seek(0)
            self._sink.write(wav_header(self._wav, data_bytes))
        self._sink.close()
        self._check()
        if self._partial is not None and self._target is not None:
            try:
                os.replace(self._partial, self._target)
            except OSError as error:
                raise OutputError(f"{self.name} cannot be written: {_reason(error)}.") from error

    def _abandon(self) -> None:
        if self._encoder is not None:
            # The file goes away in the next lines, so what the encoder says no longer matters.
            with contextlib.suppress(soundfile.SoundFileError, RuntimeError):
                self._encoder.close()
            self._encoder = None
        self._sink.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    def _check(self) -> None:
        if self._sink.error is not None:
            raise OutputError(
                f"{self.name} cannot be written: {_reason(self._sink.error)}."
            ) from self._sink.error

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._finish()
        except BaseException:
            self._abandon()
            raise


class _Sink:
    """The file under the encoder; remembers the first error, as libsndfile's callbacks cannot raise one."""

    def __init__(self, file: BinaryIO, owned: bool) -> None:
        self._file = file
        self._owned = owned
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        try:
            while len(view) and self.error is None:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.error = error
        return len(data) - len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # it also writes what is buffered
            self.error = self.error or error
            return -1

    def tell(self) -> int:
        return self._file.tell()

    def read(self, n: int) -> bytes:
        return self._file.read(n)

    def close(self) -> None:
        try:
            if self._owned:
                self._file.close()
            else:
                self._file.flush()
        except OSError as error:
            self.error = self.error or error


def _reason(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "the program that reads the pipe has ended"
    return (error.strerror or str(error)).lower()
