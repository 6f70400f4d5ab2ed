"""Recordings to listen to in a report: the worst, decoded once more, so that no audio is kept meanwhile."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence

from codec.audio import read_audio
from codec.errors import CodecError
from codec.evaluation.engine import decode
from codec.evaluation.results import Clip, Recording, label
from codec.evaluation.systems import System

_SECONDS = 10


def worst_first(recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings by rising PESQ, the mean over all systems and rates; those without any come last."""
    return sorted((item for item in recordings if item.measurements), key=_quality)


def clips(recordings: Sequence[Recording], systems: Sequence[System], limit: int) -> Iterator[Clip]:
    """The first ten seconds of the `limit` worst recordings, through every system at every rate.

    Recordings that cannot be read any more, and rates at which a system fails, are left out.
    """
    with tempfile.TemporaryDirectory(prefix="codec-eval-") as folder:
        for recording in worst_first(recordings)[:limit]:
            try:
                yield clip(recording.file, systems, folder)
            except CodecError:
                continue


def clip(path: str, systems: Sequence[System], folder: str, seconds: float = _SECONDS) -> Clip:
    """The beginning of one recording, through every system at every rate.

    folder: for temporary files. Raises AudioError when the recording cannot be read.
    """
    audio, sample_rate = read_audio(path)
    part = audio[:, : math.ceil(seconds * sample_rate)]
    decoded = {
        label(system.name, made.kbps): made.audio
        for system in systems
        for made in decode(system, part, sample_rate, folder)
        if made.audio is not None
    }
    return Clip(path, sample_rate, part, decoded)


def _quality(recording: Recording) -> float:
    marks = [item.metrics["pesq_wb"] for item in recording.measurements]
    known = [mark for mark in marks if not math.isnan(mark)]
    return sum(known) / len(known) if known else math.inf
