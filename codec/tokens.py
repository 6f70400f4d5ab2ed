"""Tokens: the codes of one recording and everything that is needed to decode them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codec.errors import ConfigError

Codes = NDArray[np.uint16]

MAX_CHANNELS = 8
MAX_CODEBOOKS = 64
MAX_CODEBOOK_SIZE = 1 << 16
MAX_SAMPLE_RATE = 768_000
MAX_SAMPLES = (1 << 47) - 1
MAX_MODEL_BYTES = 255
MAX_METADATA_BYTES = 1 << 16
MAX_METADATA_ENTRIES = 256
MAX_RATE_TERM = (1 << 32) - 1

# kbps are typed as decimals but computed from logarithms; a rate this close to the wanted one is that rate.
RATE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Tokens:
    """The codes of one recording: an immutable value; two are equal when codes and all fields are.

    codes: uint16 [channels, codebooks, frames]; codes[:, k] < codebook_sizes[k].
    codebook_sizes: entries of each codebook, 2 to 65536.
    frame_rate: frames per second (Hz), exact.
    sample_rate: Hz of the recording, and so of the decoded audio.
    n_samples: samples per channel of the recording at sample_rate; None while a stream is unfinished.
    skip: decoded samples (at sample_rate) to drop before the first wanted one; a slice has run-in frames.
    model: id of the model that made the codes. weights_hash: 16 hex digits that identify its weights, or "".
    metadata: what the user wants to say, at most 64 KiB of UTF-8.

    Raises ConfigError when a field is out of its range or the codes do not fit the fields.
    """

    codes: Codes
    codebook_sizes: tuple[int, ...]
    frame_rate: Fraction
    sample_rate: int
    n_samples: int | None
    skip: int = 0
    model: str = ""
    weights_hash: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_codes(self.codes, self.codebook_sizes)
        check_fields(
            channels=self.codes.shape[0],
            codebook_sizes=self.codebook_sizes,
            frame_rate=self.frame_rate,
            sample_rate=self.sample_rate,
            n_samples=self.n_samples,
            skip=self.skip,
            model=self.model,
            weights_hash=self.weights_hash,
            metadata=self.metadata,
        )
        for name, value in plain_fields(self).items():
            object.__setattr__(self, name, value)

    @property
    def channels(self) -> int:
        return int(self.codes.shape[0])

    @property
    def codebooks(self) -> int:
        return int(self.codes.shape[1])

    @property
    def frames(self) -> int:
        return int(self.codes.shape[2])

    @property
    def kbps(self) -> float:
        """Kilobits per second and channel: sum(log2(codebook sizes)) * frame_rate / 1000."""
        return rates(self.frame_rate, self.codebook_sizes)[-1]

    @property
    def duration(self) -> float:
        """Seconds of the recording, or of the frames so far when the recording's length is unknown."""
        if self.n_samples is not None:
            return self.n_samples / self.sample_rate
        return max(0.0, float(self.frames / self.frame_rate) - self.skip / self.sample_rate)

    def at(self, *, kbps: float | None = None, codebooks: int | None = None) -> Tokens:
        """The same recording at a lower bitrate: its first codebooks only; nothing is encoded again.

        kbps: per channel; the largest number of codebooks whose rate is not above it.
        Raises ConfigError when both are given, or when the tokens do not hold what is asked for.
        """
        keep = codebooks_for(kbps, codebooks, self.frame_rate, self.codebook_sizes)
        if keep == self.codebooks:
            return self
        return replace(self, codes=self.codes[:, :keep].copy(), codebook_sizes=self.codebook_sizes[:keep])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokens):
            return NotImplemented
        return self._fields() == other._fields() and np.array_equal(self.codes, other.codes)

    def _fields(self) -> tuple[object, ...]:
        return (
            self.codebook_sizes,
            self.frame_rate,
            self.sample_rate,
            self.n_samples,
            self.skip,
            self.model,
            self.weights_hash,
            self.metadata,
        )


class _Fields(Protocol):
    """The fields that Tokens and the header of a token file share."""

    @property
    def codebook_sizes(self) -> tuple[int, ...]: ...
    @property
    def frame_rate(self) -> Fraction: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def n_samples(self) -> int | None: ...
    @property
    def skip(self) -> int: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...


def plain_fields(fields: _Fields) -> dict[str, object]:
    """Checked fields as Python's own numbers (not numpy's), tuples and dicts, which belong to nobody else."""
    return {
        "codebook_sizes": tuple(int(size) for size in fields.codebook_sizes),
        "frame_rate": Fraction(fields.frame_rate),
        "sample_rate": int(fields.sample_rate),
        "n_samples": None if fields.n_samples is None else int(fields.n_samples),
        "skip": int(fields.skip),
        "metadata": dict(fields.metadata),
    }


def rates(frame_rate: Fraction, codebook_sizes: Sequence[int]) -> list[float]:
    """The bitrate (kbps per channel) of the first 1, 2, ... codebooks."""
    bits = np.cumsum(np.log2(np.asarray(codebook_sizes, dtype=np.float64)))
    return [float(total * float(frame_rate) / 1000) for total in bits]


def codebooks_for(
    kbps: float | None, codebooks: int | None, frame_rate: Fraction, codebook_sizes: Sequence[int]
) -> int:
    """How many codebooks a wanted bitrate (kbps per channel) or number of codebooks means; neither means all.

    Raises ConfigError, naming what is available, when the wish cannot be met.
    """
    available = len(codebook_sizes)
    if kbps is not None and codebooks is not None:
        raise ConfigError("give either kbps or codebooks, not both")
    if codebooks is not None:
        if not _is_int(codebooks) or not 1 <= codebooks <= available:
            raise ConfigError(f"codebooks must be a whole number from 1 to {available}, not {codebooks!r}")
        return int(codebooks)
    if kbps is None:
        return available
    return 1 + _step_for(kbps, rates(frame_rate, codebook_sizes))


def ladder(codebook_sizes: Sequence[int], smaller: Sequence[Sequence[int]] = ()) -> list[tuple[int, ...]]:
    """Every choice of codebooks, by rising bitrate: the first 1, 2, ... of them.

    smaller: sizes, rising, that each codebook can have besides its own where it is the last one.
    """
    whole = tuple(codebook_sizes)
    return [
        (*whole[:k], size)
        for k in range(len(whole))
        for size in (*(smaller[k] if k < len(smaller) else ()), whole[k])
    ]


def sizes_for(
    kbps: float | None,
    codebooks: int | None,
    frame_rate: Fraction,
    codebook_sizes: Sequence[int],
    smaller: Sequence[Sequence[int]] = (),
) -> tuple[int, ...]:
    """The codebooks, by their sizes, that a wish means: as `codebooks_for`, with smaller last codebooks.

    Raises ConfigError, naming what is available, when the wish cannot be met.
    """
    if kbps is None or codebooks is not None:
        return tuple(codebook_sizes)[: codebooks_for(kbps, codebooks, frame_rate, codebook_sizes)]
    steps = ladder(codebook_sizes, smaller)
    return steps[_step_for(kbps, [rates(frame_rate, sizes)[-1] for sizes in steps])]


def _step_for(kbps: float, steps: Sequence[float]) -> int:
    """Which of the rising rates is the largest that is not above kbps."""
    if not steps[0] - RATE_TOLERANCE <= kbps <= steps[-1] + RATE_TOLERANCE:
        raise ConfigError(f"{kbps:g} kbps is not available; choose {_rates_text(steps)} kbps")
    return sum(rate <= kbps + RATE_TOLERANCE for rate in steps) - 1


def check_codes(codes: Codes, codebook_sizes: Sequence[int]) -> None:
    """Raise ConfigError unless codes are uint16 [channels, codebooks, frames] below their codebook's size."""
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint16 or codes.ndim != 3:
        found = (
            f"{codes.dtype} with {codes.ndim} dimensions"
            if isinstance(codes, np.ndarray)
            else type(codes).__name__
        )
        raise ConfigError(f"codes must be a uint16 array [channels, codebooks, frames], not {found}")
    if codes.shape[1] != len(codebook_sizes):
        raise ConfigError(
            f"codes hold {codes.shape[1]} codebooks but codebook_sizes names {len(codebook_sizes)}"
        )
    if codes.size == 0:
        return
    for k, (largest, size) in enumerate(zip(codes.max(axis=(0, 2)).tolist(), codebook_sizes, strict=True)):
        if largest >= size:
            raise ConfigError(f"codebook {k} has {size} entries but the codes use entry {largest}")


def check_fields(
    *,
    channels: int,
    codebook_sizes: Sequence[int],
    frame_rate: Fraction,
    sample_rate: int,
    n_samples: int | None,
    skip: int,
    model: str,
    weights_hash: str,
    metadata: Mapping[str, str],
) -> None:
    """Raise ConfigError, naming the field, unless every field is in the range that a token file can hold."""
    check_int("channels", channels, 1, MAX_CHANNELS)
    check_int("the number of codebooks", len(codebook_sizes), 1, MAX_CODEBOOKS)
    for size in codebook_sizes:
        check_int("a codebook size", size, 2, MAX_CODEBOOK_SIZE)
    check_int("sample_rate", sample_rate, 1, MAX_SAMPLE_RATE)
    _check_rate(frame_rate)
    if n_samples is not None:
        check_int("n_samples", n_samples, 0, MAX_SAMPLES)
    check_int("skip", skip, 0, MAX_SAMPLES)
    if len(_utf8("model", model)) > MAX_MODEL_BYTES or not (model.isprintable() or not model):
        raise ConfigError(
            f"model must be printable text of at most {MAX_MODEL_BYTES} bytes, not {model[:40]!r}"
        )
    if weights_hash and (len(weights_hash) != 16 or not set(weights_hash) <= set("0123456789abcdef")):
        raise ConfigError(
            f"weights_hash must be empty or 16 lower-case hex digits, not {weights_hash[:40]!r}"
        )
    _check_metadata(metadata)


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise ConfigError(f"metadata has {len(metadata)} entries; at most {MAX_METADATA_ENTRIES} are kept")
    total = sum(
        len(_utf8("a metadata key", key)) + len(_utf8("a metadata value", value))
        for key, value in metadata.items()
    )
    if total > MAX_METADATA_BYTES:
        raise ConfigError(f"metadata takes {total} bytes; at most {MAX_METADATA_BYTES} are kept")


def _check_rate(frame_rate: Fraction) -> None:
    if not isinstance(frame_rate, Fraction | int) or isinstance(frame_rate, bool):
        raise ConfigError(f"frame_rate must be a Fraction of frames per second, not {frame_rate!r}")
    rate = Fraction(frame_rate)
    if not 0 < rate <= MAX_SAMPLE_RATE or max(rate.numerator, rate.denominator) > MAX_RATE_TERM:
        raise ConfigError(
            f"frame_rate must be above 0 and at most {MAX_SAMPLE_RATE} frames per second, not {rate}"
        )


def check_int(name: str, value: int, lowest: int, highest: int) -> None:
    """Raise ConfigError unless value is a whole number from lowest to highest."""
    if not _is_int(value) or not lowest <= value <= highest:
        raise ConfigError(f"{name} must be a whole number from {lowest} to {highest}, not {value!r}")


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _utf8(name: str, text: str) -> bytes:
    if not isinstance(text, str):
        raise ConfigError(f"{name} must be text, not {text!r}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{name} holds a character that UTF-8 cannot write: {text[:40]!r}") from None


def _rates_text(steps: Sequence[float]) -> str:
    if len(steps) == 1:
        return f"{steps[0]:g}"
    if len(steps) <= 16:
        return ", ".join(f"{rate:g}" for rate in steps[:-1]) + f" or {steps[-1]:g}"
    return f"one of {len(steps)} rates from {steps[0]:g} to {steps[-1]:g}"


def samples_per_frame(sample_rate: int, frame_rate: Fraction) -> Fraction:
    """Samples at sample_rate that one frame spans; not whole when the model runs at another rate."""
    return Fraction(sample_rate) / frame_rate


def samples_in(frames: int, sample_rate: int, frame_rate: Fraction) -> int:
    """Whole samples at sample_rate that frames span."""
    return math.floor(frames * samples_per_frame(sample_rate, frame_rate))
