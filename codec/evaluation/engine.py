"""Many recordings through many systems, by several processes, in bounded memory, resumable.

Each process handles one recording at a time and returns figures only, never audio. Needs the packages of
`codec[eval]`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from codec.audio import read_audio
from codec.errors import AudioError, CodecError
from codec.evaluation.journal import Journal, key, of_plain, plain
from codec.evaluation.measure import Original
from codec.evaluation.probe import Probe, probe
from codec.evaluation.results import METRICS, Measurement, Recording
from codec.evaluation.systems import Decoded, ModelSystem, System
from codec.evaluation.workers import run_all


@dataclass(frozen=True)
class Outcome:
    """What was found about one recording; the probes are of models whose health is asked for."""

    recording: Recording
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class _Task:
    """One recording, and what is still to be found out about it."""

    path: str
    systems: tuple[System, ...]
    probed: tuple[ModelSystem, ...]
    folder: str


@dataclass
class _Known:
    """What the journal holds about one recording, by system."""

    facts: tuple[float, int, int] | None = None
    measured: dict[str, tuple[Measurement, ...]] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)


def evaluate(
    paths: Sequence[str],
    systems: Sequence[System],
    *,
    probed: Sequence[ModelSystem] = (),
    jobs: int = 1,
    journal: Journal | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """The number of each path and its outcome, as they are done.

    Args:
        paths: recordings. A file that cannot be read gives a `Recording` with an error.
        systems: each recording goes through all of them; names differ. A rate at which one fails has no
        values,
            and its failures say why.
        probed: models whose codebooks are probed too (`evaluation.health`).
        jobs: processes of one thread each; with 1, everything happens in this one.
        journal: is asked first, and told what was measured, unless a system failed.

    Raises:
        ModelError: a process was killed. OutputError: the journal cannot be written.
    """
    known = [_recall(journal, path, systems, probed) for path in paths]
    with tempfile.TemporaryDirectory(prefix="codec-eval-") as folder:
        tasks, numbers = [], []
        for number, (path, found) in enumerate(zip(paths, known, strict=True)):
            left = tuple(system for system in systems if system.name not in found.measured)
            unknown = tuple(system for system in probed if system.name not in found.probes)
            if left or unknown or found.facts is None:
                tasks.append(_Task(path, left, unknown, folder))
                numbers.append(number)
            else:
                yield number, _whole(path, found, systems)
        for place, fresh in run_all(_do, tasks, jobs):
            number = numbers[place]
            if fresh.recording.error:
                yield number, fresh
                continue
            _learn(known[number], fresh)
            if journal is not None:
                _remember(journal, tasks[place], fresh)
            yield number, _whole(tasks[place].path, known[number], systems)


def decode(system: System, audio: np.ndarray, sample_rate: int, folder: str) -> Iterator[Decoded]:
    """What a system makes of float32 `[channels, samples]` at every rate, also where it fails.

    folder: for temporary files, which are removed.
    """
    done = 0
    with tempfile.TemporaryDirectory(dir=folder) as own:
        try:
            for decoded in system.code(audio, sample_rate, own):
                done += 1
                yield decoded
        except CodecError as error:
            for kbps in system.kbps[done:]:
                yield Decoded(kbps, math.nan, None, str(error))


def _do(task: _Task) -> Outcome:
    try:
        audio, sample_rate = read_audio(task.path)
        if audio.shape[1] == 0:
            raise AudioError("the recording has no samples, so there is nothing to measure.")
        measurements = tuple(_measure(task, audio, sample_rate))
        probes = tuple(probe(item.name, item.load(), audio, sample_rate) for item in task.probed)
    except CodecError as error:
        return Outcome(Recording(task.path, 0.0, 0, 0, (), str(error)))
    seconds = audio.shape[1] / sample_rate
    return Outcome(Recording(task.path, seconds, sample_rate, len(audio), measurements), probes)


def _measure(task: _Task, audio: np.ndarray, sample_rate: int) -> Iterator[Measurement]:
    original = Original(audio, sample_rate) if task.systems else None
    for system in task.systems:
        for decoded in decode(system, audio, sample_rate, task.folder):
            if decoded.audio is None or original is None:
                values = {metric.key: math.nan for metric in METRICS}
                failures = {metric.key: f"{system.name} failed: {decoded.error}" for metric in METRICS}
            else:
                values, failures = original.measure(decoded.audio)
            yield Measurement(system.name, decoded.kbps, decoded.file_kbps, values, failures)


def _whole(path: str, known: _Known, systems: Sequence[System]) -> Outcome:
    seconds, sample_rate, channels = known.facts or (0.0, 0, 0)
    measurements = tuple(item for system in systems for item in known.measured.get(system.name, ()))
    recording = Recording(path, seconds, sample_rate, channels, measurements)
    return Outcome(recording, tuple(known.probes.values()))


def _learn(known: _Known, fresh: Outcome) -> None:
    recording = fresh.recording
    known.facts = (recording.seconds, recording.sample_rate, recording.channels)
    for item in recording.measurements:
        known.measured[item.system] = (*known.measured.get(item.system, ()), item)
    known.probes.update({item.system: item for item in fresh.probes})


def _remember(journal: Journal, task: _Task, fresh: Outcome) -> None:
    recording = fresh.recording
    facts = {"file": task.path, "facts": [recording.seconds, recording.sample_rate, recording.channels]}
    for system in task.systems:
        found = [item for item in recording.measurements if item.system == system.name]
        if not any(item.failed for item in found):
            journal.add(
                _key(task.path, system, "measure"), {**facts, "found": [plain(item) for item in found]}
            )
    for model, found_probe in zip(task.probed, fresh.probes, strict=True):
        journal.add(_key(task.path, model, "probe"), {**facts, "found": found_probe.plain()})


def _recall(
    journal: Journal | None, path: str, systems: Sequence[System], probed: Sequence[ModelSystem]
) -> _Known:
    known = _Known()
    if journal is None:
        return known
    try:
        for system in systems:
            entry = journal.get(_key(path, system, "measure"))
            if entry is not None:
                known.measured[system.name] = tuple(of_plain(item) for item in entry["found"])
                known.facts = entry["facts"]
        for model in probed:
            entry = journal.get(_key(path, model, "probe"))
            if entry is not None:
                known.probes[model.name] = Probe.of_plain(entry["found"])
                known.facts = entry["facts"]
    except OSError:
        return _Known()  # there is no such file, which reading it will say better
    return known


def _key(path: str, system: System, kind: str) -> str:
    return key(path, kind, system.name, system.identity)
