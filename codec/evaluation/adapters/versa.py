"""This package for VERSA (github.com/wavlab-speech/versa): decoded speech for it to score, and a metric for
it.

VERSA scores pairs of lists of recordings. `resynthesize` writes such lists:

    from codec.evaluation.adapters.versa import resynthesize
    lists = resynthesize(["a.wav", "b.wav"], "out", kbps=[1.5, 6])

and `versa-score --gt out/reference.scp --pred out/6kbps.scp --io soundfile --score_config egs/speech.yaml
--output_file scores` scores one. `register_codec_distances_metric(registry)` adds the distances of
`codec eval` that VERSA does not have, under the name `codec_distances`.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codec import shipped
from codec.audio import AudioWriter, read_audio
from codec.errors import ConfigError, OutputError

_DISTANCES = ("mel_distance", "log_spectral", "f0_cents", "voicing")


def resynthesize(
    paths: Sequence[str], folder: str, kbps: Sequence[float], *, model: str | None = None, device: str = "cpu"
) -> list[str]:
    """Writes the recordings as they are and as decoded at each bitrate, and a list (.scp) of each of these.

    Returns:
        The lists: `reference.scp` first, then one a bitrate, such as `6kbps.scp`. A line of each is a name,
        the same in all lists, and a WAV of 16 bits.

    Raises:
        AudioError, ConfigError, ModelError, OutputError: a recording, bitrate, model or folder cannot be
        used.
    """
    codec = shipped.load(model, device=device)
    names = ["reference", *(f"{rate:g}kbps" for rate in sorted(kbps))]
    lines: dict[str, list[str]] = {name: [] for name in names}
    for number, path in enumerate(paths):
        audio, sample_rate = read_audio(path)
        key = f"{number:06d}-{'-'.join(Path(path).stem.split())}"
        for name, rate in zip(names, [None, *sorted(kbps)], strict=True):
            made = audio if rate is None else codec.decode(codec.encode(audio, sample_rate, kbps=rate))
            target = os.path.abspath(os.path.join(folder, name, f"{key}.wav"))
            _make_folder(os.path.dirname(target))
            with AudioWriter(target, sample_rate, len(made)) as writer:
                writer.write(made)
            lines[name].append(f"{key} {target}\n")
    lists = [os.path.join(folder, f"{name}.scp") for name in names]
    for name, path in zip(names, lists, strict=True):
        Path(path).write_text("".join(lines[name]))
    return lists


def register_codec_distances_metric(registry: Any) -> None:
    """Adds the metric to a VERSA `MetricRegistry`; raises ConfigError when VERSA cannot be imported."""
    metric = codec_distances_class()
    registry.register(metric, metric({}).get_metadata(), aliases=["CodecDistances", "codec_distances_metric"])


def codec_distances_class() -> type:
    """A subclass of VERSA's `BaseMetric`; raises ConfigError when VERSA cannot be imported."""
    try:
        definition: Any = importlib.import_module("versa.definition")
    except ImportError as error:
        raise ConfigError(f"VERSA is not there ({error}): install it first.") from error

    class CodecDistancesMetric(definition.BaseMetric):
        """Mel distance, log-spectral distance, pitch error and voicing error; all are better when lower."""

        def _setup(self) -> None:
            """Nothing: there is nothing to configure."""

        def compute(
            self, predictions: Any, references: Any = None, metadata: dict[str, Any] | None = None
        ) -> dict[str, float]:
            """Values by name (NaN where there is none) of float arrays `[samples]`, the longer one cut.

            metadata: `sample_rate` in Hz, 16000 if not given.
            """
            if predictions is None or references is None:
                raise ValueError("Both the predicted and the reference signal must be given.")
            pair = [np.asarray(x, dtype=np.float32).reshape(-1) for x in (references, predictions)]
            return _distances(pair[0], pair[1], (metadata or {}).get("sample_rate", 16_000))

        def get_metadata(self) -> Any:
            return definition.MetricMetadata(
                name="codec_distances",
                category=definition.MetricCategory.DEPENDENT,
                metric_type=definition.MetricType.DICT,
                requires_reference=True,
                requires_text=False,
                gpu_compatible=False,
                auto_install=False,
                dependencies=["codec", "librosa"],
                description="Multi-scale mel distance (DAC), log-spectral distance, pitch and voicing errors",
                paper_reference="https://arxiv.org/abs/2306.06546",
            )

    return CodecDistancesMetric


def _distances(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> dict[str, float]:
    from codec.evaluation.measure import Original

    samples = min(len(reference), len(decoded))
    values, _ = Original(reference[None, :samples], sample_rate).measure(decoded[None, :samples], _DISTANCES)
    return {name: values.get(name, math.nan) for name in _DISTANCES}


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {(error.strerror or '').lower()}.") from error
