"""What `codec eval` prints: means by system and bitrate, codebooks by stage, and what has no value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from codec.cli.report import printable
from codec.evaluation.results import METRICS, Health, Interval, Metric, Recording, Row

_LEAST_WIDTH = 100
_GAP = 2
# Those to keep where the terminal has no room for all.
_IMPORTANCE = (
    "pesq_wb",
    "visqol",
    "estoi",
    "mel_distance",
    "si_sdr",
    "f0_cents",
    "stoi",
    "tones",
    "log_spectral",
    "voicing",
)


def print_rows(rows: Sequence[Row]) -> None:
    """A line for each system and bitrate, with as many metrics as the terminal has room for."""
    # A terminal that is too narrow shall wrap lines, but the most important figures shall not be left out.
    console = Console(width=max(Console().width, _LEAST_WIDTH))
    facts = {
        "system": [printable(row.system) for row in rows],
        "kbps": [_rate(row.kbps, "g") for row in rows],
        "in file": [_rate(row.file_kbps, ".2f") for row in rows],
        "n": [str(row.recordings) for row in rows],
    }
    figures = {metric.key: [_figure(row.metrics[metric.key], metric) for row in rows] for metric in METRICS}
    left = console.width - sum(_width(heading, cells) for heading, cells in facts.items())
    kept = set()
    for name in _IMPORTANCE:
        metric = next(item for item in METRICS if item.key == name)
        left -= _width(_heading(metric), figures[name])
        if left < 0:
            break
        kept.add(name)
    table = Table(
        box=None, title="means and 95 % bootstrap intervals, ±", title_justify="left", padding=(0, _GAP, 0, 0)
    )
    for heading in facts:
        table.add_column(heading, justify="left" if heading == "system" else "right", no_wrap=True)
    for metric in METRICS:
        if metric.key in kept:
            table.add_column(_heading(metric), justify="right", no_wrap=True)
    columns = [*facts.values(), *(figures[metric.key] for metric in METRICS if metric.key in kept)]
    for cells in zip(*columns, strict=True):
        table.add_row(*cells)
    console.print(table, highlight=False, markup=False)
    hidden = [metric.name for metric in METRICS if metric.key not in kept]
    if hidden:
        console.print(f"no room for {', '.join(hidden)}: see --json, --csv or --report", highlight=False)
    missing = [f"{metric.name} {most}" for metric in METRICS if (most := _missing(rows, metric))]
    if missing:
        console.print(f"recordings that have no value: {', '.join(missing)}", highlight=False)


def print_health(health: Health) -> None:
    """A line for each codebook."""
    headings = (
        *("stage", "used", "dead", "perplexity", "entropy", "given previous frame", "given earlier stage"),
        *("Gini", "paths", "kept: shift", "gain", "noise"),
    )
    table = Table(box=None, title=f"codebooks of {printable(health.system)}", title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    for item in health.stages:
        entropies = (item.entropy, item.entropy_given_previous_frame, item.entropy_given_earlier_stage)
        stable = (item.stable_shift, item.stable_gain, item.stable_noise)
        table.add_row(
            str(item.stage),
            f"{item.used}/{item.size}",
            str(item.dead),
            f"{item.perplexity:.0f}",
            *(f"{value:.2f}" for value in entropies),
            f"{item.gini:.2f}",
            str(item.paths),
            *(f"{100 * value:.0f} %" for value in stable),
        )
    console = Console(width=max(Console().width, _LEAST_WIDTH))
    console.print()
    console.print(table, highlight=False)
    console.print(health.note, highlight=False)


def without_value(recording: Recording) -> Iterator[str]:
    """A sentence for each reason why metrics of this recording have no value."""
    reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for item in recording.measurements:
        for key, reason in item.failures.items():
            metrics, labels = reasons.setdefault(reason, ({}, {}))
            metrics[key] = None
            labels[item.label] = None
    names = {metric.key: metric.name for metric in METRICS}
    for reason, (metrics, labels) in reasons.items():
        first, *others = labels
        where = f"{first} and {len(others)} more" if others else first
        what = "any metric" if len(metrics) == len(METRICS) else ", ".join(names[key] for key in metrics)
        yield f"no value of {what} for {where}: {reason.rstrip('.')}."


def _heading(metric: Metric) -> str:
    return f"{metric.name} ({metric.unit})" if metric.unit else metric.name


def _width(heading: str, cells: Sequence[str]) -> int:
    return max(map(len, (heading, *cells))) + _GAP


def _missing(rows: Sequence[Row], metric: Metric) -> int:
    return max(row.metrics[metric.key].missing for row in rows)


def _rate(kbps: float, form: str) -> str:
    return "" if math.isnan(kbps) else format(kbps, form)


def _figure(value: Interval, metric: Metric) -> str:
    if math.isnan(value.mean):
        return "-"
    half = (value.high - value.low) / 2
    return f"{value.mean:.{metric.digits}f} ±{half:.{metric.digits}f}"
