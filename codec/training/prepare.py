"""A corpus before it is trained on: every recording measured, the poor ones refused, the others split."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from codec.errors import AudioError, CodecError, ConfigError
from codec.training.analysis import Analysis, analyse
from codec.training.split import held_out

COLUMNS = ("path", "start", "duration", "split", "speaker", "group")
# Starting processes takes longer than measuring a few files.
_FEW = 40


@dataclass(frozen=True)
class Thresholds:
    """What a recording must have to be kept; see Analysis for the units. 0 (silence, clipping: 1) is off."""

    min_snr: float = 15.0
    min_bandwidth: float = 3500.0
    max_clipping: float = 0.001
    min_seconds: float = 0.3
    max_silence: float = 0.9

    def refuse(self, found: Analysis) -> str:
        """Why a recording is refused, all reasons; empty when it is kept."""
        reasons = [
            (
                found.seconds < self.min_seconds,
                f"{found.seconds:.2f} s is shorter than {self.min_seconds:g} s",
            ),
            (
                found.silence > self.max_silence,
                f"{found.silence:.0%} is silence, more than {self.max_silence:.0%}",
            ),
            (found.snr < self.min_snr, f"estimated SNR of {found.snr:.1f} dB is below {self.min_snr:g} dB"),
            (
                found.bandwidth < self.min_bandwidth,
                f"bandwidth of {found.bandwidth:.0f} Hz is below {self.min_bandwidth:g} Hz",
            ),
            (
                found.clipping > self.max_clipping,
                f"{found.clipping:.2%} of samples clip, more than {self.max_clipping:.2%}",
            ),
        ]
        return "; ".join(text for wrong, text in reasons if wrong)


@dataclass(frozen=True)
class Recording:
    """One file of a corpus: `path` below its folder, and what became of it.

    analysis: None where it cannot be decoded. refused: why it is left out, or empty. split: "train" or
    "valid" where it is kept.
    """

    path: str
    speaker: str
    group: str
    analysis: Analysis | None
    refused: str
    split: str = ""


def place(path: str, speaker_folder: int) -> tuple[str, str]:
    """Speaker and group of a file by its folders: `speaker_folder` counts from the top, 0 is the innermost.

    The speaker is the path down to that folder, so that the same name in two sources is two speakers.
    """
    folders = path.split(os.sep)[:-1]
    kept = folders[:speaker_folder] if speaker_folder else folders
    return "/".join(kept), folders[0] if folders else ""


def measure(root: Path, paths: Sequence[str], jobs: int) -> Iterator[Analysis | str]:
    """The analysis of each file below root, in order, or why there is none; computed by `jobs` processes.

    Raises:
        AudioError: a process was killed.
    """
    files = [root / path for path in paths]
    jobs = min(jobs, len(files))
    if jobs <= 1 or len(files) < _FEW:
        yield from map(_measure, files)
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start_worker)
    try:
        yield from pool.map(_measure, files, chunksize=8)
    except BrokenProcessPool as error:
        raise AudioError("A measuring process was killed, perhaps for its memory: use fewer jobs.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us


def _measure(path: Path) -> Analysis | str:
    try:
        return analyse(path)
    except CodecError as error:
        # The name is said beside it.
        return str(error).replace(f"{path} ", "it ")


def judge(
    paths: Sequence[str],
    measured: Sequence[Analysis | str],
    thresholds: Thresholds,
    *,
    valid: float,
    seed: int,
    speaker_folder: int = 0,
) -> list[Recording]:
    """Refuses and splits: `valid` is the share of the kept duration, whole speakers, that validates.

    Raises:
        ConfigError: a share that is no share.
    """
    if not 0 <= valid < 1:
        raise ConfigError(f"A validation share of {valid} is not possible: use 0 to below 1.")
    found = []
    for path, result in zip(paths, measured, strict=True):
        speaker, group = place(path, speaker_folder)
        if isinstance(result, str):
            found.append(Recording(path, speaker, group, None, f"unreadable: {result}"))
        else:
            found.append(Recording(path, speaker, group, result, thresholds.refuse(result)))
    kept = [(item, item.analysis) for item in found if item.analysis is not None and not item.refused]
    out = held_out([item.speaker for item, _ in kept], [facts.seconds for _, facts in kept], valid, seed)
    splits = {item.path: "valid" if held else "train" for (item, _), held in zip(kept, out, strict=True)}
    return [
        Recording(i.path, i.speaker, i.group, i.analysis, i.refused, splits.get(i.path, "")) for i in found
    ]


def manifest_text(root: Path, manifest: Path, recordings: Sequence[Recording]) -> str:
    """The manifest of what is kept, as CSV or JSONL by its suffix, with paths relative to itself.

    Raises:
        ConfigError: another suffix.
    """
    if manifest.suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigError(f"{manifest} must be named .csv or .jsonl, which says how it is written.")
    base = os.path.abspath(manifest.parent)
    rows: list[tuple[str, float, float, str, str, str]] = [
        (
            os.path.relpath(os.path.abspath(root / item.path), base),
            0.0,
            round(item.analysis.seconds, 3),
            item.split,
            item.speaker,
            item.group,
        )
        for item in recordings
        if item.analysis is not None and not item.refused
    ]
    if manifest.suffix.lower() == ".jsonl":
        return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()
