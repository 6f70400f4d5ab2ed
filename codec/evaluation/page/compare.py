"""One recording through one model at several rates: encoded once, decoded and quickly measured at each."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from codec.errors import AudioError
from codec.evaluation.results import Clip, Interval, Measurement, Recording, Report, Row
from codec.resampling import resample
from codec.tokenfile import write
from codec.tokens import RATE_TOLERANCE, codebooks_for, rates

if TYPE_CHECKING:
    from codec.codec import Codec

SENSIBLE_KBPS = (0.5, 1.0, 1.5, 3.0, 6.0, 8.0, 12.0, 24.0)
_MEASURED_AT = 16_000  # Hz

Measures = dict[str, Callable[[np.ndarray, np.ndarray], float]]


def sensible_kbps(model: Codec) -> list[float]:
    """The rates of SENSIBLE_KBPS that a model has, those of equal codes once; and its highest."""
    steps = rates(model.frame_rate, model.codebook_sizes)
    wanted = [
        kbps for kbps in SENSIBLE_KBPS if steps[0] - RATE_TOLERANCE <= kbps <= steps[-1] + RATE_TOLERANCE
    ]
    held = {codebooks_for(kbps, None, model.frame_rate, model.codebook_sizes) for kbps in wanted}
    return [steps[codebooks - 1] for codebooks in sorted(held | {len(steps)})]


def quick_measures() -> Measures:
    """Metrics that take well under a second for a few seconds of sound; none without `codec[eval]`."""
    try:
        from codec.evaluation import metrics
    except ImportError as error:
        if (error.name or "").startswith("codec"):
            raise
        return {}
    at = _MEASURED_AT
    return {
        "pesq_wb": lambda a, b: metrics.pesq_wb(a, b, at),
        "stoi": lambda a, b: metrics.stoi(a, b, at),
        "si_sdr": metrics.si_sdr,
        "log_spectral": lambda a, b: metrics.log_spectral_distance(a, b, at),
    }


def compare(
    model: Codec, audio: np.ndarray, sample_rate: int, kbps: Sequence[float], file: str
) -> tuple[Report, Clip]:
    """What the listening page shows of one recording.

    Args:
        model: what encodes and decodes.
        audio: float32 `[channels, samples]`. sample_rate: its rate in Hz.
        kbps: rates per channel; those that mean the same number of codebooks count once.
        file: the recording's name.

    Raises:
        AudioError: no samples. ConfigError: a rate that the model lacks.
    """
    if audio.shape[1] == 0:
        raise AudioError("the recording has no samples, so there is nothing to hear.")
    held = sorted({codebooks_for(rate, None, model.frame_rate, model.codebook_sizes) for rate in kbps})
    measures = quick_measures()
    reference = resample(audio, sample_rate, _MEASURED_AT) if measures else audio
    decoded: dict[str, np.ndarray] = {}
    found: list[Measurement] = []
    for codebooks in held:
        part = model.encode(audio, sample_rate, codebooks=codebooks)
        data = io.BytesIO()
        write(data, part)
        heard = model.decode(part)
        at_rate = resample(heard, sample_rate, _MEASURED_AT) if measures else heard
        values = {name: _mean(measure, reference, at_rate) for name, measure in measures.items()}
        file_kbps = 8 * len(data.getvalue()) / part.duration / part.channels / 1000
        found.append(Measurement(model.name, part.kbps, file_kbps, values))
        decoded[found[-1].label] = heard
    recording = Recording(file, audio.shape[1] / sample_rate, sample_rate, len(audio), tuple(found))
    rows = tuple(_row(item) for item in found)
    return Report(f"{file} through {model.name}", rows, (recording,)), Clip(file, sample_rate, audio, decoded)


def _mean(measure: Callable[[np.ndarray, np.ndarray], float], a: np.ndarray, b: np.ndarray) -> float:
    """The mean over channels; NaN where a metric has no answer, e.g. for sound that is short or silent."""
    values = []
    for x, y in zip(a, b, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", RuntimeWarning
            )  # pystoi's way to say that its number means nothing
            try:
                values.append(measure(x, y))
            except (RuntimeWarning, ValueError, IndexError, ZeroDivisionError):
                values.append(math.nan)
    return float(np.mean(values))


def _row(item: Measurement) -> Row:
    """One recording is its own mean, without an interval."""
    means = {
        key: Interval(value, value, value, int(math.isnan(value))) for key, value in item.metrics.items()
    }
    return Row(item.system, item.kbps, item.file_kbps, 1, means)
