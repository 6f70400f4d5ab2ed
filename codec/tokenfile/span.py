"""Which frames a stretch of a recording needs, and where in their decoded audio it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from codec.errors import ConfigError
from codec.tokens import Tokens, samples_in, samples_per_frame

# Frames decoded before the first wanted one, so that a causal decoder's state has settled.
RUN_IN_FRAMES = 64
# Frames after the last wanted one, for the overlap of a decoder's windows.
RUN_OUT_FRAMES = 2


@dataclass(frozen=True)
class Span:
    """Frames first to last (exclusive), and the skip and n_samples that the slice made of them has."""

    first: int
    last: int
    skip: int
    n_samples: int | None


def span_of(
    *,
    frames: int,
    n_samples: int | None,
    skip: int,
    sample_rate: int,
    frame_rate: Fraction,
    start: float | None,
    end: float | None,
) -> Span:
    """The frames that hold start to end (seconds of the recording); None means its beginning or its end.

    frames, n_samples, skip, sample_rate, frame_rate: of the whole recording.
    Raises ConfigError when start is negative, not before end, or after the end of the recording.
    """
    _check_times(start, end)
    length = n_samples
    if length is None:
        length = max(0, samples_in(frames, sample_rate, frame_rate) - skip)
    begin = 0 if start is None else round(Fraction(start) * sample_rate)
    if begin > length or (begin == length and begin > 0):
        raise ConfigError(f"start is {start:g} s but the recording is only {length / sample_rate:g} s long")
    stop = length if end is None else min(length, round(Fraction(end) * sample_rate))
    spf = samples_per_frame(sample_rate, frame_rate)
    # A slice starts where a frame starts on a whole sample: every spf.denominator frames.
    first = max(0, math.floor((skip + begin) / spf) - RUN_IN_FRAMES)
    first = min(first, frames) // spf.denominator * spf.denominator
    last = min(frames, math.ceil((skip + stop) / spf) + RUN_OUT_FRAMES)
    open_end = n_samples is None and end is None
    return Span(
        first=first,
        last=frames if open_end else max(first, last),
        skip=skip + begin - int(first * spf),
        n_samples=None if open_end else stop - begin,
    )


def span_of_tokens(tokens: Tokens, start: float | None, end: float | None) -> Span:
    """`span_of` for tokens as a whole."""
    return span_of(
        frames=tokens.frames,
        n_samples=tokens.n_samples,
        skip=tokens.skip,
        sample_rate=tokens.sample_rate,
        frame_rate=tokens.frame_rate,
        start=start,
        end=end,
    )


def cut(tokens: Tokens, start: float | None = None, end: float | None = None) -> Tokens:
    """The stretch start to end (seconds) of tokens, with run-in frames; decodes to exactly these samples.

    Raises ConfigError when start is negative, not before end, or after the end of the recording.
    """
    span = span_of_tokens(tokens, start, end)
    codes = tokens.codes[:, :, span.first : span.last].copy()
    return replace(tokens, codes=codes, skip=span.skip, n_samples=span.n_samples)


def _check_times(start: float | None, end: float | None) -> None:
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} must be a number of seconds, 0 or more, not {value!r}")
    if end is not None and (start or 0.0) >= end:
        raise ConfigError(f"start ({start or 0.0:g} s) must be before end ({end:g} s)")
