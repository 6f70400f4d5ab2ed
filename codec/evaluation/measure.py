"""All metrics of one decoded recording; one that has no value says why, and disturbs no other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from codec.evaluation import metrics
from codec.evaluation.mel import dac_mel_distance
from codec.evaluation.pitch import pitch, pitch_errors
from codec.evaluation.results import METRICS
from codec.evaluation.tones import tones
from codec.evaluation.visqol import visqol
from codec.resampling import resample

RATE = 16_000
KEYS = tuple(metric.key for metric in METRICS)

# Why there is no value although neither signal is silent.
_WITHOUT_VALUE = {
    "pesq_wb": "PESQ finds no speech in it, or it is shorter than a quarter of a second",
    "visqol": "ViSQOL finds no speech in it",
    "stoi": "the recording, or what is left without its silences, is shorter than half a second",
    "estoi": "the recording, or what is left without its silences, is shorter than half a second",
    "si_sdr": "the recording is constant",
    "mel_distance": "the recording is shorter than 0.065 seconds",
    "log_spectral": "the recording is empty",
    "tones": "the recording is shorter than half a second",
    "f0_cents": "no frame is voiced in both",
    "voicing": "the recording is shorter than 0.064 seconds",
}
_SILENCE_COUNTS = {"mel_distance", "log_spectral", "voicing"}

Values = dict[str, float]
Failures = dict[str, str]


class Original:
    """A recording to measure against, prepared once for all that is decoded from it.

    Args:
        audio: float32 `[channels, samples]`. sample_rate: its rate in Hz.
    """

    def __init__(self, audio: np.ndarray, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.shape = audio.shape
        self._channels = resample(audio, sample_rate, RATE)
        self._pitches = [pitch(x, RATE) for x in self._channels]

    def measure(self, decoded: np.ndarray, keys: Sequence[str] = KEYS) -> tuple[Values, Failures]:
        """The value of each metric, as the mean over channels, and why some are NaN.

        Args:
            decoded: float32 `[channels, samples]` of the original's shape and rate.
            keys: of METRICS.
        """
        values: dict[str, list[float]] = {key: [] for key in keys}
        failures: Failures = {}
        found = resample(decoded, self.sample_rate, RATE)
        for x, y, f0 in zip(self._channels, found, self._pitches, strict=True):
            measures = _measures(x, y, f0)
            for key in keys:
                value, reason = _guarded(key, measures[key], x, y)
                values[key].append(value)
                if reason:
                    failures.setdefault(key, reason)
        return {key: float(np.mean(of_channels)) for key, of_channels in values.items()}, failures


def _measures(x: np.ndarray, y: np.ndarray, f0: np.ndarray) -> dict[str, Callable[[], float]]:
    errors: list[tuple[float, float]] = []

    def pitch_error(part: int) -> float:
        if not errors:
            errors.append(pitch_errors(f0, pitch(y, RATE)))
        return errors[0][part]

    return {
        "pesq_wb": lambda: metrics.pesq_wb(x, y, RATE),
        "visqol": lambda: visqol(x, y, RATE),
        "stoi": lambda: metrics.stoi(x, y, RATE),
        "estoi": lambda: metrics.stoi(x, y, RATE, extended=True),
        "si_sdr": lambda: metrics.si_sdr(x, y),
        "mel_distance": lambda: dac_mel_distance(x, y, RATE),
        "log_spectral": lambda: metrics.log_spectral_distance(x, y, RATE),
        "tones": lambda: tones(x, y, RATE),
        "f0_cents": lambda: pitch_error(0),
        "voicing": lambda: pitch_error(1),
    }


def _guarded(key: str, measure: Callable[[], float], x: np.ndarray, y: np.ndarray) -> tuple[float, str]:
    """The value, or NaN and the reason; a silent signal is one for those metrics that need a level."""
    if key not in _SILENCE_COUNTS:
        for signal, name in ((x, "the recording"), (y, "what was decoded")):
            if not signal.any():
                return math.nan, f"{name} is silent"
    with warnings.catch_warnings():
        # pystoi warns, and returns a number that means nothing, where too little is left without the silence.
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings(
            "ignore", "n_fft", UserWarning
        )  # of clips shorter than a window, which are padded
        try:
            value = measure()
        # The packages raise whatever their insides happen to raise, and one metric must not end the others.
        except Exception as error:
            too_short = len(x) < RATE and isinstance(error, ValueError | IndexError)
            reason = (
                "the recording is shorter than a second" if too_short else f"{error or type(error).__name__}"
            )
            return math.nan, _WITHOUT_VALUE[key] if isinstance(error, RuntimeWarning) else reason
    if math.isfinite(value):
        return value, ""
    return math.nan, _WITHOUT_VALUE[key]
