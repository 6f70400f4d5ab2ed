"""`.ecdc` files as tokens, and back: nothing is lost but whether the codes were packed or coded."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from codec.errors import ConfigError, ModelError
from codec.interop.ecdc import CODEBOOK_SIZE, MODELS, EcdcFile, EcdcHeader, EcdcModel, Segment
from codec.resampling import output_length
from codec.segments import Levels
from codec.tokens import Tokens


def to_tokens(content: EcdcFile) -> Tokens:
    """The codes of all segments one after the other, their scales as metadata (`codec.segments`).

    The file names a model but not its weights, so `weights_hash` is empty.
    """
    header, model = content.header, content.header.model
    codes = [part.codes for part in content.segments] or [np.zeros((header.codebooks, 0), np.uint16)]
    metadata = {}
    if model.has_scale:
        scales = np.array([[part.scale for part in content.segments]], np.float32)
        metadata = Levels(header.n_samples, scales).metadata()
    return Tokens(
        codes=np.concatenate(codes, axis=1)[None],
        codebook_sizes=(CODEBOOK_SIZE,) * header.codebooks,
        frame_rate=Fraction(model.sample_rate, model.hop_length),
        sample_rate=model.sample_rate,
        n_samples=header.n_samples,
        model=model.name,
        metadata=metadata,
    )


def from_tokens(tokens: Tokens, coded: bool) -> EcdcFile:
    """Tokens of one of EnCodec's models, by its name, as a file's content.

    A recording of another sample rate gets the length that it has at the model's.

    Raises:
        ConfigError: tokens of another model, of several mono recordings, or of a part of a recording.
    """
    model = MODELS.get(tokens.model)
    fits = model is not None and tokens.frame_rate == Fraction(model.sample_rate, model.hop_length)
    if model is None or not fits or set(tokens.codebook_sizes) != {CODEBOOK_SIZE}:
        raise ConfigError(
            f"an .ecdc file holds tokens of {' or '.join(MODELS)}, not of {tokens.model or 'no named model'}"
        )
    if tokens.channels != 1:
        raise ConfigError(f"an .ecdc file of {model.name} holds one row of codes, not {tokens.channels}")
    if tokens.skip or tokens.n_samples is None:
        raise ConfigError("an .ecdc file holds a whole recording: this is a part of one, or has no end")
    scales, n_samples = _scales(tokens, model)
    segments, first = [], 0
    for number, frames in enumerate(model.frames(n_samples)):
        codes = np.ascontiguousarray(tokens.codes[0, :, first : first + frames])
        # A file that was cut lacks frames or scales, which EcdcFile sees.
        segments.append(Segment(codes, scales[number] if scales and number < len(scales) else None))
        first += frames
    if first != tokens.frames:
        raise ConfigError(f"{tokens.frames} frames are not what {n_samples} samples of {model.name} make")
    return EcdcFile(EcdcHeader(model, n_samples, tokens.codebooks, coded), tuple(segments))


def _scales(tokens: Tokens, model: EcdcModel) -> tuple[list[float] | None, int]:
    """The scale of each segment, if the model has any, and the recording's length at its rate."""
    assert tokens.n_samples is not None
    if not model.has_scale:
        return None, output_length(tokens.n_samples, tokens.sample_rate, model.sample_rate)
    try:
        levels = Levels.of(tokens.metadata, 1)
    except ModelError as error:
        raise ConfigError(str(error)) from None
    return [] if levels.scales is None else levels.scales[0].tolist(), levels.samples
