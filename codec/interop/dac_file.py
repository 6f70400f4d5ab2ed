"""DAC's own files, `.dac`: what `numpy.save` makes of a dict of codes and metadata, read without unpickling.

    np.save of {"codes": uint16 [batch * channels, codebooks, frames], "metadata": {input_db, original_length,
    sample_rate, chunk_length, channels, padding, dac_version}}

Numpy only.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from codec.errors import ConfigError, TokenFileError
from codec.interop.unpickle import read_pickle
from codec.tokenfile.output import output, write_all
from codec.tokenfile.source import Ended, PathOrFile, Source, opened
from codec.tokens import MAX_SAMPLE_RATE, MAX_SAMPLES, Codes, check_int

MAGIC = b"\x93NUMPY"
VERSION = "1.0.0"
CODEBOOK_SIZE = 1024
# The header that numpy writes for one object, whatever else it may hold.
_OBJECT = re.compile(rb"\{'descr': '\|O', 'fortran_order': (?:False|True), 'shape': \(\), ?\}\s*")
_MAX_HEADER = 1 << 12
_FIELDS = (
    "input_db",
    "original_length",
    "sample_rate",
    "chunk_length",
    "channels",
    "padding",
    "dac_version",
)


@dataclass(frozen=True, eq=False)
class DacFile:
    """All that a file holds; raises ConfigError when it makes no sense.

    codes: uint16 `[batch * channels, codebooks, frames]`.
    input_db: loudness of the recording in LUFS, which decoding restores, float32 of any shape.
    original_length: samples per channel at sample_rate (Hz), both those of the recording.
    chunk_length: frames that are decoded at once; all of them if padding.
    channels: of the recording, each coded by itself.
    padding: coded as a whole; otherwise in windows that overlap, by convolutions without padding.
    """

    codes: Codes
    input_db: np.ndarray
    original_length: int
    sample_rate: int
    chunk_length: int
    channels: int
    padding: bool

    def __post_init__(self) -> None:
        codes = self.codes
        if codes.dtype != np.uint16 or codes.ndim != 3 or 0 in codes.shape[:2]:
            raise ConfigError("codes must be uint16 [channels, codebooks, frames]")
        if codes.size and codes.max() >= CODEBOOK_SIZE:
            raise ConfigError(f"DAC's codebooks have {CODEBOOK_SIZE} entries, but the codes use more")
        if self.input_db.dtype != np.float32 or not np.isfinite(self.input_db).all():
            raise ConfigError("input_db must be float32 and finite")
        check_int("original_length", self.original_length, 0, MAX_SAMPLES)
        check_int("sample_rate", self.sample_rate, 1, MAX_SAMPLE_RATE)
        check_int("chunk_length", self.chunk_length, 1, max(1, codes.shape[2]))
        check_int("channels", self.channels, 1, len(codes))
        if len(codes) % self.channels:
            raise ConfigError(f"{len(codes)} streams of codes are not whole recordings of {self.channels}")
        if type(self.padding) is not bool:
            raise ConfigError("padding must be true or false")


def read(path_or_file: PathOrFile) -> DacFile:
    """A whole file; nothing in it is run.

    Raises:
        TokenFileError: it is damaged, cut off, no .dac file, or holds more than codes and metadata.
    """
    with opened(path_or_file) as file:
        source = Source(file)
        _skip_header(source)
        content = read_pickle(source.rest())
    metadata = content.get("metadata") if isinstance(content, dict) else None
    if not isinstance(metadata, dict) or set(content) != {"codes", "metadata"}:
        raise TokenFileError("this is not a .dac file: it must hold codes and metadata")
    if set(metadata) != set(_FIELDS):
        raise TokenFileError("the metadata of the .dac file is not as version 1.0.0 has it")
    if metadata["dac_version"] != VERSION:
        raise TokenFileError(f"this .dac file has an unknown version; only {VERSION} is known")
    arrays = (content["codes"], metadata["input_db"])
    if not all(isinstance(part, np.ndarray) for part in arrays):
        raise TokenFileError("the .dac file is damaged: codes and input_db must be arrays")
    values: dict[str, Any] = {key: metadata[key] for key in _FIELDS[1:-1]}
    try:
        return DacFile(codes=arrays[0], input_db=arrays[1], **values)
    except ConfigError as error:
        raise TokenFileError(f"the .dac file is damaged: {error}") from None


def write(file: str | os.PathLike[str] | BinaryIO, content: DacFile) -> None:
    """Writes a path, which is replaced as a whole, or a binary file object; raises OutputError."""
    metadata = {
        "input_db": content.input_db,
        "original_length": content.original_length,
        "sample_rate": content.sample_rate,
        "chunk_length": content.chunk_length,
        "channels": content.channels,
        "padding": content.padding,
        "dac_version": VERSION,
    }
    packed = io.BytesIO()
    np.save(packed, np.array({"codes": content.codes, "metadata": metadata}, dtype=object))
    with output(file) as stream:
        write_all(stream, packed.getvalue())


def _skip_header(source: Source) -> None:
    """Over the header of the .npy format, which must announce one object."""
    try:
        if source.slice(0, len(MAGIC)) != MAGIC:
            raise TokenFileError("this is not a .dac file")
        width = 2 if source.byte(6) == 1 else 4
        begin = 8 + width
        length = int.from_bytes(source.slice(8, begin), "little")
        if length > _MAX_HEADER or _OBJECT.fullmatch(source.slice(begin, begin + length)) is None:
            raise TokenFileError("this is not a .dac file: it holds a plain array")
    except Ended:
        raise TokenFileError("the .dac file is cut off") from None
    source.consume(begin + length)
