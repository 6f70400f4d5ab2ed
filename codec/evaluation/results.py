"""What an evaluation finds: plain values that the terminal, the files and the listening page all show."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Metric:
    """One measure of decoded audio against its original; `digits` after the point where it is shown."""

    key: str
    name: str
    unit: str
    better: Literal["higher", "lower"]
    digits: int
    description: str


METRICS: tuple[Metric, ...] = (
    Metric("pesq_wb", "PESQ-WB", "", "higher", 2, "ITU-T P.862.2 at 16 kHz, 1.04 to 4.64"),
    Metric("visqol", "ViSQOL", "", "higher", 2, "ViSQOL v3 in speech mode at 16 kHz, 1 to 5"),
    Metric("stoi", "STOI", "", "higher", 3, "short-time objective intelligibility (Taal et al. 2011), to 1"),
    Metric("estoi", "ESTOI", "", "higher", 3, "extended STOI (Jensen and Taal 2016), to 1"),
    Metric("si_sdr", "SI-SDR", "dB", "higher", 1, "scale-invariant signal-to-distortion ratio"),
    Metric("mel_distance", "Mel distance", "", "lower", 3, "mean log10 mel difference, windows 2048 to 128"),
    Metric("log_spectral", "LSD", "dB", "lower", 2, "log-spectral distance, windows of 32 ms"),
    Metric("tones", "Tones", "dB", "lower", 1, "how far steady lines stand out that were not there"),
    Metric("f0_cents", "F0 error", "cents", "lower", 0, "mean absolute pitch error where both are voiced"),
    Metric("voicing", "Voicing error", "%", "lower", 1, "frames that are voiced in only one of the two"),
)


@dataclass(frozen=True)
class Measurement:
    """One recording through one system at one rate.

    kbps: nominal, and file_kbps: from the size of the file with all that is in it; both per channel, and NaN
    for a peer that does not say. Each metric (keys of METRICS) is the mean over channels at 16 kHz, NaN
    where it has no value; `failures` then says why.
    """

    system: str
    kbps: float
    file_kbps: float
    metrics: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tells this measurement of a recording from its others: the system and the rate."""
        return label(self.system, self.kbps)

    @property
    def failed(self) -> bool:
        """Whether there was nothing to measure, because the system made nothing of the recording."""
        return all(math.isnan(value) for value in self.metrics.values())


@dataclass(frozen=True)
class Recording:
    """One recording through all systems; or, in `error`, why there is nothing."""

    file: str
    seconds: float
    sample_rate: int
    channels: int
    measurements: tuple[Measurement, ...]
    error: str = ""


@dataclass(frozen=True)
class Interval:
    """A mean over recordings with its 95 % bootstrap interval; `missing` recordings had no value (NaN)."""

    mean: float
    low: float
    high: float
    missing: int


@dataclass(frozen=True)
class Row:
    """All recordings through one system at one rate."""

    system: str
    kbps: float
    file_kbps: float
    recordings: int
    metrics: dict[str, Interval]

    @property
    def label(self) -> str:
        return label(self.system, self.kbps)


@dataclass(frozen=True)
class StageHealth:
    """How one codebook is used (`codec.evaluation.health` has the definitions); entropies in bits."""

    stage: int
    size: int
    used: int
    dead: int
    perplexity: float
    entropy: float
    gini: float
    entropy_given_previous_frame: float
    entropy_given_earlier_stage: float
    paths: int
    stable_shift: float
    stable_gain: float
    stable_noise: float


@dataclass(frozen=True)
class Health:
    """The codebooks of one model over `frames` frames; `note` says how far the figures can be trusted."""

    system: str
    frames: int
    stages: tuple[StageHealth, ...]
    note: str


@dataclass(frozen=True)
class Report:
    """Everything that an evaluation found."""

    title: str
    rows: tuple[Row, ...]
    recordings: tuple[Recording, ...]
    health: tuple[Health, ...] = ()


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording to be heard: float32 `[channels, samples]` of one rate and length; decoded by label."""

    file: str
    sample_rate: int
    original: np.ndarray
    decoded: dict[str, np.ndarray]


def label(system: str, kbps: float) -> str:
    """`speech-16k 6 kbps`; the system alone where it has no rate (NaN)."""
    return system if kbps != kbps else f"{system} {kbps:g} kbps"
