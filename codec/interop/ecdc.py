"""EnCodec's own files, `.ecdc`: a JSON header, and the codes of each segment, packed or arithmetically coded.

    "ECDC" | u8 version 0 | u32 length, big-endian | JSON: m model, al samples, nc codebooks, lm coded or not
    per segment: f32 scale, big-endian (48 kHz only) | codes, frame after frame, all codebooks of a frame

Packed codes take 10 bits, lowest first, and every segment starts on a byte. Coded ones need the weights of
EnCodec's language model (`interop.ecdc_lm`). Numpy only.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np

from codec.errors import ConfigError, TokenFileError
from codec.interop.arithmetic import ArithmeticDecoder, ArithmeticEncoder, cumulative
from codec.interop.bits import pack_bits, packed_bytes, unpack_bits
from codec.tokenfile.output import output, write_all
from codec.tokenfile.source import Damaged, Ended, PathOrFile, Source, opened
from codec.tokens import MAX_SAMPLES, Codes

MAGIC = b"ECDC"
CODEBOOK_SIZE = 1024
_BITS = 10
_HEADER = struct.Struct(">4sBI")
_SCALE = struct.Struct(">f")
_MAX_JSON = 1 << 16
_ASTRAY = (
    "is damaged, or was coded with another language model or on a machine that computes differently; "
    "packed .ecdc files do not have this problem"
)


@dataclass(frozen=True)
class EcdcModel:
    """What the name of a model in a header stands for.

    sample_rate: in Hz. channels: of the audio, which share one stream of codes. codebooks: at most.
    segment, stride: samples that are coded at once, and from one segment to the next; None for all at once.
    has_scale: every segment carries the level that it was divided by.
    """

    name: str
    sample_rate: int
    channels: int
    codebooks: int
    segment: int | None = None
    stride: int | None = None
    has_scale: bool = False
    hop_length: int = 320

    def frames(self, n_samples: int) -> Iterator[int]:
        """Frames of each segment of a recording."""
        segment, stride = self.segment or n_samples, self.stride or n_samples
        for offset in range(0, n_samples, max(1, stride)):
            yield -(-min(n_samples - offset, segment) // self.hop_length)

    def total_frames(self, n_samples: int) -> int:
        """Frames of all segments of a recording."""
        if self.segment is None or self.stride is None:
            return -(-n_samples // self.hop_length)
        whole = max(0, n_samples - self.segment + self.stride - 1) // self.stride
        rest = list(self.frames(n_samples - whole * self.stride))
        return whole * -(-self.segment // self.hop_length) + sum(rest)


MODELS = {
    model.name: model
    for model in (
        EcdcModel("encodec_24khz", 24_000, 1, 32),
        EcdcModel("encodec_48khz", 48_000, 2, 16, segment=48_000, stride=47_520, has_scale=True),
    )
}


@dataclass(frozen=True)
class EcdcHeader:
    """n_samples: per channel, at the model's rate. codebooks: of the codes. coded: by the language model."""

    model: EcdcModel
    n_samples: int
    codebooks: int
    coded: bool

    def __post_init__(self) -> None:
        if not 0 <= self.n_samples <= MAX_SAMPLES:
            raise ConfigError(f"an .ecdc file holds 0 to {MAX_SAMPLES} samples, not {self.n_samples}")
        if not 1 <= self.codebooks <= self.model.codebooks:
            raise ConfigError(
                f"{self.model.name} has 1 to {self.model.codebooks} codebooks, not {self.codebooks}"
            )


@dataclass(frozen=True, eq=False)
class Segment:
    """Codes uint16 `[codebooks, frames]`, and the float32 scale where the model has one."""

    codes: Codes
    scale: float | None = None


@dataclass(frozen=True, eq=False)
class EcdcFile:
    """All that a file holds; raises ConfigError when header and segments do not fit together."""

    header: EcdcHeader
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        header = self.header
        wanted = [(header.codebooks, frames) for frames in header.model.frames(header.n_samples)]
        if [part.codes.shape for part in self.segments] != wanted:
            raise ConfigError(f"the codes do not make {header.n_samples} samples of {header.model.name}")
        for part in self.segments:
            if part.codes.size and part.codes.max() >= CODEBOOK_SIZE:
                raise ConfigError(f"the codebooks of {header.model.name} have {CODEBOOK_SIZE} entries")
            if (part.scale is not None) != header.model.has_scale:
                raise ConfigError(f"{header.model.name} has {'a' if header.model.has_scale else 'no'} scale")


class LanguageModel(Protocol):
    """Says how likely each code is, given the frames before; a state is a value, None before the first."""

    def step(self, codes: Codes | None, codebooks: int, state: Any) -> tuple[np.ndarray, Any]:
        """Probabilities float32 `[codebooks, 1024]` of the next frame.

        codes: uint16 `[codebooks]` of the frame before it; None at the start.
        """
        ...


def read_header(path_or_file: PathOrFile) -> EcdcHeader:
    """What a file says of itself; raises TokenFileError."""
    with opened(path_or_file) as file:
        return _header(Source(file))


def read(path_or_file: PathOrFile, lm: LanguageModel | None = None) -> EcdcFile:
    """A whole file; lm: the language model of a coded one.

    Raises:
        TokenFileError: it is damaged, cut off, or not coded with this language model on a machine like this.
        ConfigError: it is coded, and there is no language model.
    """
    with opened(path_or_file) as file:
        source = Source(file)
        header = _header(source)
        if header.coded and lm is None:
            raise ConfigError(
                "it is coded with EnCodec's language model: give the weights "
                f"(encodec_lm_{header.model.name.removeprefix('encodec_')}-….th)"
            )
        segments = _packed(source, header) if lm is None or not header.coded else _coded(source, header, lm)
        return EcdcFile(header, segments)


def write(
    file: str | os.PathLike[str] | BinaryIO, content: EcdcFile, lm: LanguageModel | None = None
) -> None:
    """Writes a path, which is replaced as a whole, or a binary file object.

    Raises:
        OutputError: it cannot be written. ConfigError: it is to be coded, and there is no language model.
    """
    header = content.header
    if header.coded and lm is None:
        raise ConfigError("to code it, give the weights of EnCodec's language model, or have it packed")
    fields = {
        "m": header.model.name,
        "al": header.n_samples,
        "nc": header.codebooks,
        "lm": header.coded,
    }
    text = json.dumps(fields).encode()
    with output(file) as stream:
        write_all(stream, _HEADER.pack(MAGIC, 0, len(text)) + text)
        for part in content.segments:
            scale = b"" if part.scale is None else _SCALE.pack(part.scale)
            if header.coded and lm is not None:
                body = _encode(part.codes, lm)
            else:
                body = pack_bits(part.codes.T.reshape(-1), _BITS)
            write_all(stream, scale + body)


def _header(source: Source) -> EcdcHeader:
    try:
        magic, version, length = _HEADER.unpack(source.slice(0, _HEADER.size))
        if magic != MAGIC:
            raise TokenFileError("this is not an .ecdc file")
        if version != 0:
            raise TokenFileError(f"this .ecdc file has version {version}, and only version 0 is known")
        if length > _MAX_JSON:
            raise TokenFileError("the header of the .ecdc file is damaged")
        text = source.slice(_HEADER.size, _HEADER.size + length)
    except Ended:
        raise TokenFileError("the .ecdc file ends inside of its header") from None
    source.consume(_HEADER.size + length)
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise TokenFileError("the header of the .ecdc file is damaged") from None
    return _checked(fields)


def _checked(fields: Any) -> EcdcHeader:
    """The header from its JSON; raises TokenFileError."""
    values: list[Any] = []
    if isinstance(fields, dict):
        values = [fields.get(key) for key in ("m", "al", "nc", "lm")]
    if [type(value) for value in values] != [str, int, int, bool]:
        raise TokenFileError("the header of the .ecdc file is damaged: it must say m, al, nc and lm")
    name, n_samples, codebooks, coded = values
    if name not in MODELS:
        raise TokenFileError(f"this .ecdc file is of model {name[:40]!r}; known are {', '.join(MODELS)}")
    try:
        return EcdcHeader(MODELS[name], n_samples, codebooks, coded)
    except ConfigError as error:
        raise TokenFileError(f"the header of the .ecdc file is damaged: {error}") from None


def _packed(source: Source, header: EcdcHeader) -> tuple[Segment, ...]:
    segments = []
    for frames in header.model.frames(header.n_samples):
        scale = _scale(_take(source, _SCALE.size)) if header.model.has_scale else None
        # The source reads in steps, so that a length that lies costs no memory.
        data = _take(source, packed_bytes(frames * header.codebooks, _BITS))
        values = unpack_bits(data, _BITS, frames * header.codebooks)
        segments.append(Segment(np.ascontiguousarray(values.reshape(frames, header.codebooks).T), scale))
    if source.fill(1):
        raise TokenFileError("the .ecdc file goes on after its end: it is two files in one, or damaged")
    return tuple(segments)


def _take(source: Source, size: int) -> bytes:
    try:
        data = source.slice(0, size)
    except Ended:
        raise TokenFileError("the .ecdc file is cut off") from None
    source.consume(size)
    return data


def _coded(source: Source, header: EcdcHeader, lm: LanguageModel) -> tuple[Segment, ...]:
    data, at, segments = source.rest(), 0, []
    for frames in header.model.frames(header.n_samples):
        scale = None
        if header.model.has_scale:
            if at + _SCALE.size > len(data):
                raise TokenFileError("the .ecdc file is cut off")
            scale, at = _scale(data[at : at + _SCALE.size]), at + _SCALE.size
        codes, at = _decode(data, at, frames, header.codebooks, lm)
        segments.append(Segment(codes, scale))
    if at < len(data):
        raise TokenFileError(f"the .ecdc file goes on after its last frame: it {_ASTRAY}")
    return tuple(segments)


def _scale(data: bytes) -> float:
    (scale,) = _SCALE.unpack(data)
    if not math.isfinite(scale):
        raise TokenFileError("the .ecdc file is damaged: a scale is not finite")
    return float(scale)


def _encode(codes: Codes, lm: LanguageModel) -> bytes:
    """One segment's codes `[codebooks, frames]`, coded."""
    encoder, state, before = ArithmeticEncoder(), None, None
    for frame in codes.T:
        probabilities, state = lm.step(before, len(codes), state)
        for code, p in zip(frame.tolist(), probabilities, strict=True):
            encoder.push(code, cumulative(p))
        before = frame
    return encoder.finish()


def _decode(data: bytes, start: int, frames: int, codebooks: int, lm: LanguageModel) -> tuple[Codes, int]:
    """One segment's codes `[codebooks, frames]`, and where in data it ends."""
    decoder, state, before = ArithmeticDecoder(data, start), None, None
    # Grows with what the file really holds, whatever the header promises.
    found: list[Codes] = []
    try:
        for _ in range(frames):
            probabilities, state = lm.step(before, codebooks, state)
            before = np.array([decoder.pull(cumulative(p)) for p in probabilities], np.uint16)
            found.append(before)
        end = decoder.end()
    except Ended:
        raise TokenFileError(
            f"the .ecdc file ends after {len(found)} of {frames} frames: it {_ASTRAY}"
        ) from None
    except Damaged:
        raise TokenFileError(
            f"the .ecdc file makes no sense after {len(found)} frames: it {_ASTRAY}"
        ) from None
    return np.stack(found, axis=1), end
