"""From the figures of recordings to one row for each system and rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from codec.evaluation.results import METRICS, Interval, Measurement, Recording, Row

_BOOTSTRAP_DRAWS = 2000


def summarize(recordings: Sequence[Recording]) -> tuple[Row, ...]:
    """Means over all recordings that have measurements, in the order in which systems and rates come up."""
    groups: dict[str, list[Measurement]] = {}
    for recording in recordings:
        for item in recording.measurements:
            groups.setdefault(item.label, []).append(item)
    return tuple(_row(group) for group in groups.values())


def interval(values: Sequence[float]) -> Interval:
    """The mean of the values that are numbers, and its 95 % percentile bootstrap interval (seeded).

    What is drawn are recordings, so the interval speaks of other recordings of the same kind.
    """
    all_values = np.asarray(values, dtype=np.float64)
    x = all_values[~np.isnan(all_values)]
    if not len(x):
        return Interval(math.nan, math.nan, math.nan, len(all_values))
    random = np.random.default_rng(0)
    means = [x[random.integers(len(x), size=len(x))].mean() for _ in range(_BOOTSTRAP_DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(x.mean()), float(low), float(high), len(all_values) - len(x))


def _row(group: Sequence[Measurement]) -> Row:
    sizes = [item.file_kbps for item in group if not math.isnan(item.file_kbps)]
    return Row(
        system=group[0].system,
        kbps=group[0].kbps,
        file_kbps=float(np.mean(sizes)) if sizes else math.nan,
        recordings=len(group),
        metrics={
            metric.key: interval([item.metrics.get(metric.key, math.nan) for item in group])
            for metric in METRICS
        },
    )
