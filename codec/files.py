"""Recordings to token files and back, block by block, in memory that does not grow with their length."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from codec.audio import AudioReader, AudioWriter, RawFormat
from codec.errors import ModelError, OutputError, TokenFileError
from codec.tokenfile import Header, PageReader, PageWriter, header_of, read_header
from codec.tokenfile.output import output
from codec.tokenfile.reader import PAGES_AHEAD, read_with_losses
from codec.tokenfile.reader import read as read_tokens
from codec.tokenfile.source import is_seekable, opened
from codec.tokenfile.span import span_of_tokens
from codec.tokens import Codes, Tokens, codebooks_for

if TYPE_CHECKING:
    from codec.codec import Codec
    from codec.tokenfile import Tables

# Who listens at the end of a pipe hears each page when it is whole.
PIPE_PAGE_SECONDS = Fraction(1, 2)
# 512 frames of 20 ms, which the model is fastest with.
_BLOCK_SECONDS = 10.24
_MAX_BLOCK = 1 << 18
_BLOCK_FRAMES = 256

Packet = tuple[Codes | None, int]
"""Codes (None where they are lost), and how many frames they are."""

Progress = Callable[[float, float | None], None]
"""Called with the seconds done so far, and the seconds in all where they are known."""


@dataclass(frozen=True)
class Coded:
    """What was encoded or decoded.

    seconds: of audio. kbps: per channel, of the codes. vbr: of the file, about, where that was asked for.
    warnings: sentences that the user should see.
    """

    seconds: float
    sample_rate: int
    channels: int
    codebooks: int
    kbps: float
    warnings: list[str] = field(default_factory=list)
    vbr: float | None = None


def no_progress(done: float, total: float | None) -> None:
    """A Progress that tells nobody."""


def encode_file(
    model: Codec,
    source: str | Path,
    target: str | Path,
    *,
    kbps: float | None = None,
    codebooks: int | None = None,
    vbr: float | None = None,
    metadata: Mapping[str, str] | None = None,
    raw: RawFormat | None = None,
    tables: Tables | None = None,
    progress: Progress = no_progress,
) -> Coded:
    """Encodes a recording into a token file; "-" means standard input or output.

    A target that is a file appears under its name when it is complete, or not at all. To a pipe, pages of
    half a second go out as they are made. A model that needs whole recordings reads its source into memory.

    Args:
        kbps, codebooks, vbr: as in `Codec.encode`.
        metadata: kept in the token file.
        raw: what the samples of a source without a header are.
        tables: of the entropy coding (`codec.tokenfile.tables_of`); None packs the codes plainly.

    Raises:
        AudioError: the source cannot be used. OutputError: the target cannot be written.
        ConfigError: a rate that the model lacks, or too much metadata.
    """
    with AudioReader(source, raw=raw) as reader:
        rate, piped = reader.sample_rate, _is_pipe(target)
        if not model.streams:
            parts = list(reader.blocks(_MAX_BLOCK))
            audio = np.concatenate([np.zeros((reader.channels, 0), np.float32), *parts], axis=1)
            tokens = model.encode(audio, rate, kbps=kbps, codebooks=codebooks, vbr=vbr, metadata=metadata)
            progress(tokens.duration, tokens.duration)
            with _token_output(target) as file:
                writer = PageWriter(file, header_of(tokens), tables)
                writer.push(tokens.codes)
                writer.close(tokens.n_samples)
            return Coded(tokens.duration, rate, reader.channels, tokens.codebooks, tokens.kbps)
        stream = model.stream_encoder(
            sample_rate=rate, channels=reader.channels, kbps=kbps, codebooks=codebooks, vbr=vbr
        )
        header = header_of(
            Tokens(
                codes=np.zeros((reader.channels, stream.n_codebooks, 0), np.uint16),
                codebook_sizes=stream.codebook_sizes,
                frame_rate=model.frame_rate,
                sample_rate=rate,
                # A stream that breaks can still be decoded as far as it got if it has promised nothing.
                n_samples=None if piped or str(target) == "-" else reader.n_samples,
                model=model.name,
                weights_hash=model.weights_hash,
                metadata=dict(metadata or {}),
            )
        )
        block = min(round(_BLOCK_SECONDS * rate), _MAX_BLOCK)
        if piped:
            frames = max(1, int(PIPE_PAGE_SECONDS * model.frame_rate))
            header = replace(header, page_frames=frames)
            block = max(1, int(PIPE_PAGE_SECONDS * rate / 2))
        total = None if reader.n_samples is None else reader.n_samples / rate
        with _token_output(target) as file:
            writer = PageWriter(file, header, tables)
            for samples in reader.blocks(block):
                writer.push(stream.push(samples))
                progress(stream.n_samples / rate, total)
            writer.push(stream.flush())
            writer.close(stream.n_samples)
        seconds = stream.n_samples / rate
        return Coded(seconds, rate, reader.channels, stream.n_codebooks, header.kbps, vbr=vbr)


def decode_file(
    model_for: Callable[[str, str], Codec],
    source: str | Path | BinaryIO,
    target: str | Path,
    *,
    kbps: float | None = None,
    codebooks: int | None = None,
    start: float | None = None,
    end: float | None = None,
    conceal: bool = False,
    tables: Tables | None = None,
    progress: Progress = no_progress,
) -> Coded:
    """Decodes a token file into a recording; "-" means standard input or output (a WAV).

    From a pipe each page is decoded as it arrives. A stream that ends before its end record gives all of its
    whole pages, and a warning.

    Args:
        model_for: finds the model that made the tokens, by its name and the hash of its weights.
        kbps, codebooks: decode a lower bitrate than the file holds.
        start, end: seconds; decode this stretch alone.
        conceal: decode around damage instead of raising.
        tables: of the entropy coding, where they are not shipped ones.

    Raises:
        TokenFileError: the source is damaged or cut off. ModelError: another model made it.
        OutputError: the target cannot be written. ConfigError: a rate or a stretch that the source lacks.
    """
    with _token_input(source) as file:
        begin = file.tell() if is_seekable(file) else None
        if start is None and end is None:
            n_samples = _known_length(file)
            ahead = PAGES_AHEAD if is_seekable(file) else 1
            reader = PageReader(file, conceal=conceal, tables=tables, ahead=ahead)
            header, packets = replace(reader.header, n_samples=n_samples), _all_packets(reader, conceal)
        else:
            tokens, lost = read_with_losses(file, start=start, end=end, conceal=conceal, tables=tables)
            reader, header, packets = None, header_of(tokens), _some_packets(tokens.codes, lost)
        keep = codebooks_for(kbps, codebooks, header.frame_rate, header.codebook_sizes)
        model = model_for(header.model, header.weights_hash)
        model.check_tokens(header.model, header.weights_hash, header.codebook_sizes, header.frame_rate)
        if not model.streams:
            if begin is not None:
                file.seek(begin)
                tokens = read_tokens(file, tables=tables)
            elif reader is not None:
                none = np.zeros((header.channels, header.codebooks, 0), np.uint16)
                codes = np.concatenate([none, *(some for some, _ in packets if some is not None)], axis=2)
                tokens = reader.header.tokens(codes, reader.n_samples)
            else:
                raise ModelError(f"{model.name} decodes whole recordings: a stretch cannot come from a pipe.")
            return _decode_whole(model, tokens.at(codebooks=keep), target, start, end, progress)
        rate = header.sample_rate
        written = 0
        held = _HeldBack(model, header)
        total = None if header.n_samples is None else header.n_samples / rate
        with AudioWriter(target, rate, header.channels) as writer:
            for audio in _decoded(model, header, packets, keep):
                ready = held.push(audio)
                writer.write(ready)
                written += ready.shape[1]
                progress(written / rate, total)
            length = header.n_samples if reader is None or header.n_samples is not None else reader.n_samples
            rest = held.finish(None if length is None else length - written)
            writer.write(rest)
            written += rest.shape[1]
            if length is not None and written != length and not conceal:
                raise TokenFileError(
                    f"the token file promises {length} samples, but its frames make {written}"
                )
        warnings = [] if reader is None else _warnings(reader, header, written, length)
        kept = replace(header, codebook_sizes=header.codebook_sizes[:keep])
        return Coded(written / rate, rate, header.channels, keep, kept.kbps, warnings)


def _decode_whole(
    model: Codec,
    tokens: Tokens,
    target: str | Path,
    start: float | None,
    end: float | None,
    progress: Progress,
) -> Coded:
    """Decodes all, since frames of such a model have no meaning without the others, and keeps a stretch."""
    span, rate = span_of_tokens(tokens, start, end), tokens.sample_rate
    first = round(Fraction(start or 0.0) * rate)
    audio = model.decode(tokens)[:, first:]
    audio = audio if span.n_samples is None else audio[:, : span.n_samples]
    with AudioWriter(target, rate, len(audio)) as writer:
        writer.write(audio)
    seconds = audio.shape[1] / rate
    progress(seconds, seconds)
    return Coded(seconds, rate, len(audio), tokens.codebooks, tokens.kbps)


class _HeldBack:
    """Lets audio through but for its end, while the recording's length is unknown.

    The last frame is filled up with silence, which must not come out as a longer recording.
    """

    def __init__(self, model: Codec, header: Header) -> None:
        frame = math.ceil(model.hop_length * Fraction(header.sample_rate, model.sample_rate))
        self._size = frame + 1 if header.n_samples is None else 0
        self._held = np.zeros((header.channels, 0), np.float32)

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Takes float32 `[channels, samples]`; returns what surely belongs to the recording."""
        audio = np.concatenate([self._held, audio], axis=1)
        ready = max(0, audio.shape[1] - self._size)
        self._held = audio[:, ready:]
        return audio[:, :ready]

    def finish(self, n_samples: int | None) -> np.ndarray:
        """The end: so many samples of what is held, or all."""
        return self._held if n_samples is None else self._held[:, : max(0, n_samples)]


def _decoded(model: Codec, header: Header, packets: Iterable[Packet], keep: int) -> Iterator[np.ndarray]:
    """The audio of the first `keep` codebooks of packets, in pieces float32 `[channels, samples]`."""
    decoder = model.stream_decoder(
        sample_rate=header.sample_rate,
        channels=header.channels,
        skip=header.skip,
        n_samples=header.n_samples,
        codebook_sizes=header.codebook_sizes[:keep],
    )
    for codes, frames in packets:
        for first in range(0, frames, _BLOCK_FRAMES):
            last = min(first + _BLOCK_FRAMES, frames)
            some = None if codes is None else codes[:, :keep, first:last]
            yield decoder.push(some, frames=last - first)
    yield decoder.flush()


def _all_packets(reader: PageReader, conceal: bool) -> Iterator[Packet]:
    yield from reader.packets()
    if not conceal:
        reader.require_end()


def _some_packets(codes: Codes, lost: Iterable[tuple[int, int]]) -> Iterator[Packet]:
    """Runs of frames that are there, and of those that are lost."""
    at = 0
    for first, last in lost:
        yield codes[:, :, at:first], first - at
        yield None, last - first
        at = last
    yield codes[:, :, at:], codes.shape[2] - at


def _known_length(file: BinaryIO) -> int | None:
    """The number of samples that the header or, in a file that can be sought in, the end record says."""
    if not is_seekable(file):
        return None
    begin = file.tell()
    n_samples = read_header(file).n_samples
    file.seek(begin)
    return n_samples


def _warnings(reader: PageReader, header: Header, written: int, length: int | None) -> list[str]:
    rate = header.sample_rate
    lost = [
        f"{max(0.0, float(first / header.frame_rate) - header.skip / rate):.2f} s "
        f"to {float(last / header.frame_rate) - header.skip / rate:.2f} s"
        for first, last in reader.damaged
    ]
    found = [f"damaged, what is not whole was replaced: {', '.join(lost)}."] if lost else []
    if length is None:
        found.append(f"ends without an end record; the {written / rate:.2f} s that are whole were decoded.")
    elif written < length:
        found.append(f"cut off; {written / rate:.2f} of {length / rate:.2f} s are whole and were decoded.")
    return found


@contextmanager
def _token_input(source: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    with opened(sys.stdin.buffer if str(source) == "-" else source) as file:
        yield file


@contextmanager
def _token_output(target: str | Path) -> Iterator[BinaryIO]:
    if str(target) == "-":
        sys.stdout.flush()
        # Unbuffered: what a reader who left never took must not be complained about again at exit.
        yield getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
        return
    with output(target) as file:
        try:
            yield file
        except OutputError as error:
            raise OutputError(f"{target}: {error}") from error


def _is_pipe(target: str | Path) -> bool:
    """Whether someone may be reading what is written while it is written."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode if str(target) == "-" else os.stat(target).st_mode
    except (OSError, ValueError):
        return str(target) == "-"
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
