"""A report and clips whose sound says what it is: a sweep tells the position, its level the version."""

from __future__ import annotations

import math

import numpy as np

from codec.evaluation.results import (
    Clip,
    Health,
    Interval,
    Measurement,
    Recording,
    Report,
    Row,
    StageHealth,
)

RATE, SECONDS = 16_000, 4.0
LOWEST, SLOPE = 300.0, 1500.0  # Hz at the start, and Hz a second
EVIL = "<img src=x onerror=alert(1)>'\"&</script>ü\u202e.wav"
PEER = 'opus "<b>&'
SYSTEMS = (("speech-16k", 1.5), ("speech-16k", 6.0), (PEER, 12.0))
LABELS = ("speech-16k 1.5 kbps", "speech-16k 6 kbps", f"{PEER} 12 kbps")
LEVELS = {"Original": 0.8, **dict(zip(LABELS, (0.4, 0.2, 0.1), strict=True))}


def sweep(level: float, seconds: float = SECONDS) -> np.ndarray:
    """Float32 `[1, samples]` whose frequency at second t is LOWEST + SLOPE * t."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * (LOWEST * t + SLOPE * t**2 / 2))).astype(np.float32)[None]


def clip(file: str, seconds: float = SECONDS) -> Clip:
    decoded = {label: sweep(LEVELS[label], seconds) for label in LABELS}
    return Clip(file, RATE, sweep(LEVELS["Original"], seconds), decoded)


def recording(file: str, quality: float, *, failed: bool = False) -> Recording:
    """Through SYSTEMS; a higher quality is better by every metric."""
    measurements = []
    for number, (system, kbps) in enumerate(SYSTEMS):
        pesq = quality + 0.5 * number
        failures = {"stoi": "less than 0.4 seconds are left"} if failed else {}
        stoi = math.nan if failed else 0.5 + pesq / 10
        values = {"pesq_wb": pesq, "stoi": stoi, "mel_distance": 1 / pesq}
        measurements.append(Measurement(system, kbps, kbps + 0.1, values, failures))
    return Recording(file, SECONDS, RATE, 1, tuple(measurements))


def rows() -> tuple[Row, ...]:
    made = []
    for number, (system, kbps) in enumerate(SYSTEMS):
        mean = 1.5 + 0.5 * number
        metrics = {
            "pesq_wb": Interval(mean, mean - 0.1, mean + 0.1, 0),
            "stoi": Interval(0.5 + mean / 10, 0.6, 0.8, 1),
            "mel_distance": Interval(1 / mean, 0.4, 0.7, 0),
        }
        made.append(Row(system, kbps, kbps + 0.1, 3, metrics))
    return tuple(made)


def health() -> Health:
    stages = tuple(
        StageHealth(
            stage=k,
            size=1024,
            used=1024 - 100 * k,
            dead=100 * k,
            perplexity=700.0 - 100 * k,
            entropy=9.0 - k,
            gini=0.3,
            entropy_given_previous_frame=8.0 - k,
            entropy_given_earlier_stage=math.nan if k == 1 else 8.5 - k,
            paths=1000 * k,
            stable_shift=0.9,
            stable_gain=0.8,
            stable_noise=0.7,
        )
        for k in (1, 2, 3)
    )
    return Health("speech-16k", 12_345, stages, "Few frames: <entropies> are too low.")


def report() -> Report:
    recordings = (
        recording("good.wav", 2.0),
        recording(EVIL, 1.0),
        recording("middle.wav", 1.5, failed=True),
        Recording("broken.wav", 0.0, 0, 0, (), "it is no audio."),
    )
    return Report("A <title> & its report", rows(), recordings, (health(),))


def clips() -> list[Clip]:
    return [clip("good.wav"), clip(EVIL, 3.0)]
