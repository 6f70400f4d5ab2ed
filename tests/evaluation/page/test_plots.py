"""Plots: every value is in them as text, and they are files of their own."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.evaluation.page import rate_distortion_svg
from codec.evaluation.page.codebooks import hourglass
from codec.evaluation.page.svg import SERIES, ticks
from codec.evaluation.results import METRICS, Interval, Row
from tests.evaluation.page.examples import PEER, health, rows

SVG = "{http://www.w3.org/2000/svg}"


def points(root: ElementTree.Element, series: int) -> list[tuple[float, float]]:
    """Where the line of a series goes."""
    (line,) = [item for item in root.iter(f"{SVG}polyline") if item.get("class") == f"plot-line s{series}"]
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", line.get("points") or "")]


def test_a_plot_is_xml_with_a_title_and_every_figure_in_its_description() -> None:
    root = ElementTree.fromstring(rate_distortion_svg(rows(), "pesq_wb"))
    assert root.findtext(f"{SVG}title") == "PESQ-WB by bitrate"
    description = root.findtext(f"{SVG}desc") or ""
    assert "speech-16k at 1.60 kbps 1.50 (1.40 to 1.60)" in description
    assert f"{PEER} at 12.10 kbps 2.50 (2.40 to 2.60)" in description
    assert "higher is better" in description
    texts = {item.text for item in root.iter(f"{SVG}text")}
    assert {"speech-16k", PEER, "2", "3", "PESQ-WB, higher is better"} <= texts


def test_a_higher_rate_is_further_right_and_a_higher_value_further_up() -> None:
    (x1, y1), (x2, y2) = points(ElementTree.fromstring(rate_distortion_svg(rows(), "pesq_wb")), 0)
    assert x2 > x1
    assert y2 < y1


def test_systems_differ_by_shape_and_dashes_not_by_colour_alone() -> None:
    many = [
        Row(f"system {k}", rate, rate, 1, {"stoi": Interval(0.1 * k, 0.1 * k, 0.1 * k, 0)})
        for k in range(1, SERIES + 1)
        for rate in (1.0, 2.0)
    ]
    root = ElementTree.fromstring(rate_distortion_svg(many, "stoi"))
    shapes = set()
    for k in range(SERIES):
        marks = [group for group in root.iter(f"{SVG}g") if group.get("class") == f"plot-mark s{k}"]
        assert len(marks) == 3  # the legend's and two points
        pairs = (marks[0][-1].get("points") or "").split()
        places = [(float(x), float(y)) for x, y in (pair.split(",") for pair in pairs)]
        shapes.add(
            (marks[0][-1].tag, tuple((round(x - places[0][0]), round(y - places[0][1])) for x, y in places))
        )
    assert len(shapes) == SERIES


def test_a_system_without_a_rate_is_a_level_line() -> None:
    peer = Row("peer", math.nan, math.nan, 2, {"stoi": Interval(0.7, 0.6, 0.8, 0)})
    root = ElementTree.fromstring(rate_distortion_svg([*rows(), peer], "stoi"))
    level = [item for item in root.iter(f"{SVG}line") if item.get("class") == "plot-line s2"]
    assert any(item.get("y1") == item.get("y2") and item.get("x1") == "72.0" for item in level)


def test_what_cannot_be_plotted_is_refused() -> None:
    with pytest.raises(ConfigError, match="no metric 'loudness'"):
        rate_distortion_svg(rows(), "loudness")
    with pytest.raises(ConfigError, match="nothing to plot"):
        rate_distortion_svg(rows(), "visqol")


@given(
    values=st.lists(
        st.tuples(st.floats(0.01, 2000), st.floats(-1e6, 1e6) | st.just(math.nan)), min_size=1, max_size=12
    ),
    metric=st.sampled_from([item.key for item in METRICS]),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_any_figures_make_a_plot_within_its_frame(values: list[tuple[float, float]], metric: str) -> None:
    made = [Row("a", kbps, kbps, 1, {metric: Interval(x, x, x, 0)}) for kbps, x in values]
    if all(math.isnan(x) for _, x in values):
        with pytest.raises(ConfigError):
            rate_distortion_svg(made, metric)
        return
    root = ElementTree.fromstring(rate_distortion_svg(made, metric))
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    for item in root.iter(f"{SVG}circle"):
        assert 0 <= float(item.get("cx") or "nan") <= width
        assert 0 <= float(item.get("cy") or "nan") <= height


@given(low=st.floats(-1e6, 1e6), span=st.floats(0, 1e6))
@settings(derandomize=True, deadline=None)
def test_ticks_reach_around_what_they_measure(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 9
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step
    assert found[-1] >= low + span - 1e-6 * step


def test_the_bars_of_an_hourglass_are_as_wide_as_the_entropies() -> None:
    root = ElementTree.fromstring(hourglass(health()))
    bars = [
        float(item.get("width") or "nan")
        for item in root.iter(f"{SVG}rect")
        if item.get("opacity") and float(item.get("y") or 0) > 40
    ]
    assert [bar / bars[0] for bar in bars] == pytest.approx([1, 7 / 8, 6 / 8], abs=1e-3)
    assert "stage 2: 7.00 of 10 bits, 6.50 given the earlier stage" in (root.findtext(f"{SVG}desc") or "")
