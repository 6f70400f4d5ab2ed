"""Quality by bitrate: recordings are encoded once, decoded at each rate, and measured at 16 kHz.

Needs the packages of `codec[eval]`.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import signal
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch

from codec import shipped
from codec.audio import read_audio
from codec.codec import Codec
from codec.errors import AudioError, CodecError, ModelError
from codec.evaluation import metrics
from codec.resampling import resample
from codec.tokenfile import write
from codec.tokens import codebooks_for

RATE = 16_000
METRICS = ("pesq_wb", "stoi", "si_sdr", "mel_distance")
_BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Score:
    """One recording at one bitrate.

    kbps: of the codes; file_kbps: of the token file with all that is in it; both per channel.
    Each metric (`evaluation.metrics`) is the mean over channels of decoded against original; NaN where it has
    no answer, as for silence.
    """

    kbps: float
    file_kbps: float
    pesq_wb: float
    stoi: float
    si_sdr: float
    mel_distance: float


@dataclass(frozen=True)
class FileResult:
    """The scores of one recording, by rising bitrate; or, in `error`, why there are none."""

    file: str
    seconds: float
    scores: tuple[Score, ...]
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
    """All recordings at one bitrate."""

    kbps: float
    file_kbps: float
    recordings: int
    metrics: dict[str, Interval]


def score(model: Codec, audio: np.ndarray, sample_rate: int, kbps: Sequence[float]) -> tuple[Score, ...]:
    """Encodes audio float32 `[channels, samples]` once and measures what each bitrate (per channel) gives.

    Raises:
        AudioError: no samples. ConfigError: a bitrate that the model lacks.
    """
    channels, n_samples = audio.shape
    if n_samples == 0:
        raise AudioError("the recording has no samples, so there is nothing to measure.")
    reference = resample(audio, sample_rate, RATE)
    tokens = model.encode(audio, sample_rate, kbps=max(kbps))
    found = []
    for rate in sorted(kbps):
        part = tokens.at(kbps=rate)
        file = io.BytesIO()
        write(file, part)
        decoded = resample(model.decode(part), sample_rate, RATE)
        values = [_measure(a, b) for a, b in zip(reference, decoded, strict=True)]
        file_kbps = 8 * len(file.getvalue()) / tokens.duration / channels / 1000
        found.append(Score(part.kbps, file_kbps, *np.mean(values, axis=0).tolist()))
    return tuple(found)


def score_files(
    paths: Sequence[str],
    kbps: Sequence[float],
    *,
    model: str | None = None,
    device: str = "cpu",
    jobs: int = 1,
) -> Iterator[FileResult]:
    """The result of every recording, in order, computed by `jobs` processes of one thread each.

    Raises:
        ModelError: the model cannot be loaded, or a process was killed. ConfigError: a bitrate that it lacks.
    """
    loaded = _load(model, device)
    for rate in kbps:
        codebooks_for(rate, None, loaded.frame_rate, loaded.codebook_sizes)
    work = partial(_score_file, kbps=tuple(kbps), model=model, device=device)
    jobs = min(jobs, len(paths))
    if jobs <= 1:
        yield from map(work, paths)
        return
    # A forked process would inherit PyTorch's threads in an undefined state.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start_worker)
    try:
        yield from pool.map(work, paths)
    except BrokenProcessPool as error:
        raise ModelError(
            "A process that measures was killed, perhaps for its memory: use fewer jobs."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def summarize(results: Sequence[FileResult]) -> list[Row]:
    """One row a bitrate: the means over all recordings that have scores."""
    scores = [item.scores for item in results if item.scores]
    rows = []
    for at_rate in zip(*scores, strict=True):
        rows.append(
            Row(
                kbps=at_rate[0].kbps,
                file_kbps=float(np.mean([item.file_kbps for item in at_rate])),
                recordings=len(at_rate),
                metrics={name: interval([getattr(item, name) for item in at_rate]) for name in METRICS},
            )
        )
    return rows


def interval(values: Sequence[float]) -> Interval:
    """The mean of the values that are numbers, and its 95 % percentile bootstrap interval (seeded)."""
    all_values = np.asarray(values, dtype=np.float64)
    x = all_values[~np.isnan(all_values)]
    if not len(x):
        return Interval(math.nan, math.nan, math.nan, len(all_values))
    drawn = np.random.default_rng(0).integers(len(x), size=(_BOOTSTRAP_DRAWS, len(x)))
    low, high = np.percentile(x[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(float(x.mean()), float(low), float(high), len(all_values) - len(x))


def _measure(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, float]:
    """METRICS of two float arrays `[samples]` at RATE."""
    with warnings.catch_warnings():
        # pystoi warns, and returns a number that means nothing, where too little is left without the silence.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            stoi = metrics.stoi(a, b, RATE)
        except RuntimeWarning:
            stoi = math.nan
    return metrics.pesq_wb(a, b, RATE), stoi, metrics.si_sdr(a, b), metrics.mel_distance(a, b, RATE)


def _score_file(path: str, kbps: tuple[float, ...], model: str | None, device: str) -> FileResult:
    try:
        audio, sample_rate = read_audio(path)
        scores = score(_load(model, device), audio, sample_rate, kbps)
    except CodecError as error:
        return FileResult(path, 0.0, (), str(error))
    return FileResult(path, audio.shape[1] / sample_rate, scores)


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us


@cache
def _load(model: str | None, device: str) -> Codec:
    return shipped.load(model, device=device)
