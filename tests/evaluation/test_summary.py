"""Means over recordings and their uncertainty."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.evaluation.results import METRICS, Measurement, Recording
from codec.evaluation.summary import interval, summarize


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.integers(0, 3))
def test_an_interval_holds_its_mean_and_counts_what_is_missing(values: list[float], missing: int) -> None:
    found = interval([*values, *[math.nan] * missing])
    assert found == interval([*values, *[math.nan] * missing])
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.missing == missing
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_has_the_width_of_the_central_limit_theorem() -> None:
    x = np.random.default_rng(1).normal(size=400)
    found = interval(x.tolist())
    assert found.high - found.low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)


def test_no_values_have_no_interval() -> None:
    assert interval([math.nan]).missing == 1
    assert math.isnan(interval([]).mean)


def measured(system: str, kbps: float, value: float) -> Measurement:
    return Measurement(system, kbps, kbps + 0.1, {metric.key: value for metric in METRICS})


def test_a_row_is_the_mean_of_one_system_at_one_rate() -> None:
    recordings = [
        Recording("a", 1, 16000, 1, (measured("x", 3, 1), measured("x", 6, 2), measured("y", 6, 7))),
        Recording("b", 1, 16000, 1, (measured("x", 3, 2), measured("x", 6, math.nan), measured("y", 6, 8))),
        Recording("c", 0, 0, 0, (), "does not exist"),
    ]
    rows = summarize(recordings)
    assert [row.label for row in rows] == ["x 3 kbps", "x 6 kbps", "y 6 kbps"]
    assert [row.metrics["stoi"].mean for row in rows] == [1.5, 2, 7.5]
    assert [row.metrics["stoi"].missing for row in rows] == [0, 1, 0]
    assert [row.recordings for row in rows] == [2, 2, 2]
    assert rows[0].file_kbps == pytest.approx(3.1)


def test_a_system_without_rates_is_one_row() -> None:
    recordings = [Recording(name, 1, 16000, 1, (measured("peer", math.nan, 1),)) for name in "ab"]
    (row,) = summarize(recordings)
    assert row.label == "peer"
    assert row.recordings == 2
    assert math.isnan(row.file_kbps)
