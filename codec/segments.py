"""Recordings that are encoded in overlapping segments: where those lie, and what tokens say of them.

EnCodec's 48 kHz model cuts a recording into segments of a second that overlap by 1 %, divides each by its
level, and encodes it by itself. The codes of all segments follow each other in `Tokens.codes`; how long the
recording is at the model's rate, and the level of each segment, stand in its metadata. NumPy only.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.errors import AudioError, ModelError
from codec.tokens import MAX_METADATA_BYTES

SAMPLES, SCALES = "segments.samples", "segments.scales"


class Span(NamedTuple):
    """A segment: its samples `[begin, end)` at the model's rate, and its frames `[first, last)` of codes."""

    begin: int
    end: int
    first: int
    last: int


@dataclass(frozen=True)
class Levels:
    """What a recording's segments need to be decoded, besides their codes.

    samples: of the recording, at the model's rate.
    scales: float32 `[rows, segments]`, what each segment is multiplied by; None where they are as they were.
    """

    samples: int
    scales: NDArray[np.float32] | None

    def metadata(self) -> dict[str, str]:
        """As metadata of tokens; raises AudioError for a recording of too many segments (some hours)."""
        found = {SAMPLES: str(self.samples)}
        if self.scales is not None:
            found[SCALES] = base64.b64encode(self.scales.astype(">f4").tobytes()).decode()
        if len(found.get(SCALES, "")) > MAX_METADATA_BYTES - 256:
            raise AudioError(
                f"The recording has {self.scales.shape[1] if self.scales is not None else 0} segments, "
                "more than one token file can describe: cut it into parts."
            )
        return found

    @classmethod
    def of(cls, metadata: Mapping[str, str], rows: int) -> Levels:
        """From the metadata of tokens with so many rows of codes; raises ModelError when it is not there."""
        try:
            samples = int(metadata[SAMPLES])
            text = metadata.get(SCALES)
            scales = None
            if text is not None:
                values = np.frombuffer(base64.b64decode(text, validate=True), ">f4")
                scales = values.astype(np.float32).reshape(rows, -1)
                if not np.isfinite(scales).all():
                    raise ValueError("a level that is not finite")
        except (KeyError, ValueError, binascii.Error) as error:
            raise ModelError(
                f"The tokens lack the levels of their segments ({SAMPLES}, {SCALES} in their metadata), "
                "without which their model cannot decode them."
            ) from error
        return cls(samples, scales)


def spans(samples: int, length: int, step: int, hop_length: int) -> list[Span]:
    """The segments of a recording of so many samples; length 0 makes it one segment."""
    found, first = [], 0
    for begin in range(0, samples, step or max(1, samples)):
        end = min(begin + length, samples) if length else samples
        last = first + -(-(end - begin) // hop_length)
        found.append(Span(begin, end, first, last))
        first = last
    return found
