"""Rate-distortion plots: one metric of all systems over the bitrate, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from codec.errors import ConfigError
from codec.evaluation.page import svg
from codec.evaluation.page.text import figure
from codec.evaluation.results import METRICS, Interval, Metric, Row

_WIDTH, _LEFT, _RIGHT, _PLOT_HEIGHT = 560.0, 72.0, 18.0, 270.0
_LEGENDS, _LEGEND_COLUMN, _LEGEND_ROW = 2, 240.0, 22.0
_KBPS = (
    0.25,
    0.5,
    0.75,
    1,
    1.5,
    2,
    3,
    4,
    6,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    384,
    512,
    768,
    1536,
)


def rate_distortion_svg(rows: Sequence[Row], metric: str) -> str:
    """A plot as a file of its own (SVG text), light or dark as the reader's system is.

    Args:
        rows: the means of all systems and rates.
        metric: a key of METRICS.

    Raises:
        ConfigError: no such metric, or no row has a value of it.
    """
    known = {item.key: item for item in METRICS}
    if metric not in known:
        raise ConfigError(f"there is no metric {metric!r}: choose one of {', '.join(known)}.")
    if not has_values(rows, metric):
        raise ConfigError(f"no row has a value of {known[metric].name}, so there is nothing to plot.")
    return svg.standalone(rate_distortion(rows, known[metric]))


def has_values(rows: Sequence[Row], metric: str) -> bool:
    """Whether any row has a number for a metric."""
    return any(_value(row, metric) is not None for row in rows)


def rate_distortion(rows: Sequence[Row], metric: Metric) -> str:
    """An SVG element for the page. Systems without a rate are level lines; the x axis is logarithmic."""
    systems = list(dict.fromkeys(row.system for row in rows))
    found = [(row, value) for row in rows if (value := _value(row, metric.key)) is not None]
    bounds = [bound for _, value in found for bound in (value.low, value.high, value.mean)]
    y_ticks = svg.ticks(
        min(b for b in bounds if math.isfinite(b)), max(b for b in bounds if math.isfinite(b))
    )
    rates = sorted(rate for row, _ in found if (rate := kbps_of(row)) is not None) or [1.0]
    top = 46 + _LEGEND_ROW * (-(-len(systems) // _LEGENDS) - 1)
    bottom = top + _PLOT_HEIGHT
    low_x, high_x = math.log2(rates[0] / 1.15), math.log2(rates[-1] * 1.15)

    def x_at(kbps: float) -> float:
        return _LEFT + (math.log2(kbps) - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)

    def y_at(value: float) -> float:
        return bottom - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * _PLOT_HEIGHT

    body = _axes(metric, y_ticks, [(x_at(k), k) for k in _KBPS if low_x <= math.log2(k) <= high_x], y_at, top)
    for number, system in enumerate(systems):
        body += _legend(number, system)
        own = [(row, value) for row, value in found if row.system == system]
        points = [(x, row, value) for row, value in own if (x := kbps_of(row)) is not None]
        places = [
            (x_at(x), y_at(value.mean), row, value) for x, row, value in sorted(points, key=lambda p: p[0])
        ]
        if len(places) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
            body.append(
                f'<polyline class="plot-line s{number % svg.SERIES}"{_dash(number)} points="{path}"/>'
            )
        for x, y, row, value in places:
            body += _error_bar(number, x, y_at(value.low), y_at(value.high))
            body.append(svg.marker(number, x, y, f"{row.label}: {said(value, metric)}"))
        for row, value in own:
            if kbps_of(row) is None:
                kind = f"plot-line s{number % svg.SERIES}"
                body.append(svg.line(_LEFT, y_at(value.mean), _WIDTH - _RIGHT, y_at(value.mean), kind))
                body.append(
                    svg.marker(
                        number, _WIDTH - _RIGHT, y_at(value.mean), f"{row.label}: {said(value, metric)}"
                    )
                )
    described = "; ".join(f"{_where(row)} {said(value, metric)}" for row, value in found)
    title = f"{metric.name} by bitrate"
    about = (
        f"{metric.description}; {metric.better} is better. Mean (95 % interval) of each system: {described}."
    )
    return svg.drawing(f"rd-{metric.key}", _WIDTH, bottom + 48, title, about, body)


def kbps_of(row: Row) -> float | None:
    """Where a row belongs on the x axis: the rate of its files, else the nominal one, if there is any."""
    return next((x for x in (row.file_kbps, row.kbps) if math.isfinite(x) and x > 0), None)


def said(value: Interval, metric: Metric) -> str:
    """A mean with its interval and unit: `2.21 (2.14 to 2.27)`."""
    unit = f" {metric.unit}" if metric.unit else ""
    low, high = figure(value.low, metric.digits), figure(value.high, metric.digits)
    around = f" ({low} to {high})" if low != high else ""
    return f"{figure(value.mean, metric.digits)}{unit}{around}"


def _axes(
    metric: Metric,
    y_ticks: list[float],
    x_ticks: list[tuple[float, float]],
    y_at: Callable[[float], float],
    top: float,
) -> list[str]:
    bottom = top + _PLOT_HEIGHT
    digits = max(0, -math.floor(math.log10(y_ticks[1] - y_ticks[0]) + 1e-9))
    if round(y_ticks[1] - y_ticks[0], digits) != round(y_ticks[1] - y_ticks[0], digits + 1):
        digits += 1  # steps of 0.25 need one digit more than their power of ten says
    body = []
    for value in y_ticks:
        y = y_at(value)
        body.append(svg.line(_LEFT, y, _WIDTH - _RIGHT, y, "plot-grid"))
        body.append(svg.text(_LEFT - 8, y + 5, figure(value, digits), anchor="end"))
    last = -math.inf
    for x, kbps in x_ticks:
        body.append(svg.line(x, bottom, x, bottom + 5, "plot-axis"))
        if x - last >= 40:
            body.append(svg.text(x, bottom + 21, f"{kbps:g}", anchor="middle"))
            last = x
    body.append(svg.line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "plot-axis"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    body.append(
        svg.text(middle, bottom + 41, "kbps per channel, from file sizes (log scale)", anchor="middle")
    )
    unit = f" in {metric.unit}" if metric.unit else ""
    y = (top + bottom) / 2
    turned = f' transform="rotate(-90 14 {y:.1f})"'
    name = f"{metric.name}{unit}, {metric.better} is better"
    body.append(svg.text(14, y, name, "plot-text", "middle", turned))
    return body


def _legend(number: int, system: str) -> list[str]:
    x = _LEFT + _LEGEND_COLUMN * (number % _LEGENDS)
    y = 18 + _LEGEND_ROW * (number // _LEGENDS)
    sample = svg.line(x, y, x + 26, y, f"plot-line s{number % svg.SERIES}").replace(
        "/>", f"{_dash(number)}/>"
    )
    name = system if len(system) <= 24 else f"{system[:23]}…"
    return [sample, svg.marker(number, x + 13, y), svg.text(x + 33, y + 4.5, name, "plot-strong")]


def _error_bar(number: int, x: float, low: float, high: float) -> list[str]:
    if not (math.isfinite(low) and math.isfinite(high)) or abs(low - high) < 0.5:
        return []
    kind = f"plot-error s{number % svg.SERIES}"
    ends = [svg.line(x - 4, y, x + 4, y, kind) for y in (low, high)]
    return [svg.line(x, low, x, high, kind), *ends]


def _dash(number: int) -> str:
    dash = svg.DASHES[number % svg.SERIES]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _value(row: Row, metric: str) -> Interval | None:
    value = row.metrics.get(metric)
    return value if value is not None and math.isfinite(value.mean) else None


def _where(row: Row) -> str:
    kbps = kbps_of(row)
    return row.system if kbps is None else f"{row.system} at {kbps:.2f} kbps"
