"""Tables of the page as HTML: means of systems, and every recording through every system."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from codec.evaluation.page.text import NONE, escape, figure, seconds
from codec.evaluation.results import METRICS, Interval, Measurement, Metric, Recording, Report


def shown_metrics(report: Report) -> list[Metric]:
    """The metrics that at least one mean or recording has a value of."""
    measured = [item for recording in report.recordings for item in recording.measurements]
    return [
        metric
        for metric in METRICS
        if any(
            metric.key in row.metrics and math.isfinite(row.metrics[metric.key].mean) for row in report.rows
        )
        or any(math.isfinite(item.metrics.get(metric.key, math.nan)) for item in measured)
    ]


def worst_first(recordings: Sequence[Recording], metric: Metric | None) -> list[Recording]:
    """Recordings by their mean of a metric over all systems and rates; those without a value come first."""

    def badness(recording: Recording) -> float:
        if metric is None:
            return 0.0
        values = [item.metrics.get(metric.key, math.nan) for item in recording.measurements]
        mean = math.fsum(values) / len(values) if values else math.nan
        if math.isnan(mean):
            return -math.inf
        return mean if metric.better == "higher" else -mean

    return sorted(recordings, key=badness)


def summary_table(report: Report, metrics: Sequence[Metric]) -> str:
    """One row for each system and rate."""
    heads = [_head("System"), _number_head("kbps"), _number_head("In the file", "kbps, from file sizes")]
    heads += [_number_head("Recordings"), *(_metric_head(metric) for metric in metrics)]
    rows = []
    for row in report.rows:
        cells = [f'<th scope="row" data-value="{escape(row.label)}">{escape(row.system)}</th>']
        cells += [_number(row.kbps, _rate(row.kbps)), _number(row.file_kbps, figure(row.file_kbps, 2))]
        cells.append(_number(row.recordings, str(row.recordings)))
        cells += [_interval(row.metrics.get(metric.key), metric) for metric in metrics]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _table("summary", "Means over recordings, with 95 % bootstrap intervals", heads, rows)


def recordings_table(
    recordings: Sequence[Recording], metrics: Sequence[Metric], heard: Mapping[str, Sequence[str]]
) -> str:
    """One row for each recording and system, the worst recordings first.

    recordings: from `worst_first`. heard: by file, the labels that can be listened to.
    """
    heads = [_number_head("Rank", "1 is the recording that came out worst, over all systems and rates")]
    heads += [
        _head("File"),
        _head("System"),
        _number_head("kbps"),
        _number_head("In the file"),
        _number_head("Length"),
    ]
    heads += [_metric_head(metric) for metric in metrics]
    rows = []
    for rank, recording in enumerate((r for r in recordings if not r.error), start=1):
        labels = heard.get(recording.file, ())
        for item in recording.measurements:
            cells = [
                _number(rank, str(rank)),
                _file(recording.file, item.label if item.label in labels else None),
            ]
            cells.append(f'<td data-value="{escape(item.label)}">{escape(item.system)}</td>')
            cells += [
                _number(item.kbps, _rate(item.kbps)),
                _number(item.file_kbps, figure(item.file_kbps, 2)),
            ]
            cells.append(_number(recording.seconds, seconds(recording.seconds)))
            cells += [_value(item, metric) for metric in metrics]
            at = f'data-file="{escape(recording.file)}" data-label="{escape(item.label)}"'
            rows.append(f"<tr {at}>{''.join(cells)}</tr>")
    return _table("recordings", "Every recording through every system", heads, rows, sorted_by=0)


def failures(recordings: Sequence[Recording]) -> list[tuple[str, str]]:
    """What has no result, and why: (file or file and system, sentence)."""
    found = [(recording.file, recording.error) for recording in recordings if recording.error]
    names = {metric.key: metric.name for metric in METRICS}
    for recording in recordings:
        for item in recording.measurements:
            found += [
                (f"{recording.file}, {item.label}", f"{names.get(key, key)}: {reason}")
                for key, reason in item.failures.items()
            ]
    return found


def _table(
    name: str, caption: str, heads: Sequence[str], rows: Sequence[str], sorted_by: int | None = None
) -> str:
    if sorted_by is not None:
        first = heads[sorted_by].replace("<th ", '<th aria-sort="ascending" ', 1)
        heads = [*heads[:sorted_by], first, *heads[sorted_by + 1 :]]
    return (
        f'<div class="scroll" id="{name}-scroll" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f'<table id="{name}" class="sortable"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _head(name: str, about: str = "", more: str = "") -> str:
    title = f' title="{escape(about)}"' if about else ""
    return f'<th scope="col"{more}><button type="button" class="sort"{title}>{escape(name)}</button></th>'


def _number_head(name: str, about: str = "") -> str:
    return _head(name, about, ' class="number"')


def _metric_head(metric: Metric) -> str:
    unit = f" ({metric.unit})" if metric.unit else ""
    about = f"{metric.description}; {metric.better} is better"
    arrow = "↑" if metric.better == "higher" else "↓"
    return _head(f"{metric.name}{unit} {arrow}", about, f' class="number" data-better="{metric.better}"')


def _number(value: float, shown: str) -> str:
    sortable = f"{value:.9g}" if math.isfinite(value) else ""
    return f'<td class="number" data-value="{sortable}">{shown}</td>'


def _rate(kbps: float) -> str:
    return f"{kbps:g}" if math.isfinite(kbps) else NONE


def _interval(value: Interval | None, metric: Metric) -> str:
    if value is None or not math.isfinite(value.mean):
        return _number(math.nan, NONE)
    low, high = figure(value.low, metric.digits), figure(value.high, metric.digits)
    around = f"<small>{low} to {high}</small>" if low != high else ""
    missing = f"<small>{value.missing} missing</small>" if value.missing else ""
    return _number(value.mean, f"{figure(value.mean, metric.digits)} {around}{missing}")


def _value(item: Measurement, metric: Metric) -> str:
    value = item.metrics.get(metric.key, math.nan)
    if math.isfinite(value) or metric.key not in item.failures:
        return _number(value, figure(value, metric.digits))
    reason = escape(item.failures[metric.key])
    return f'<td class="number" data-value=""><abbr title="{reason}">none</abbr></td>'


def _file(name: str, label: str | None) -> str:
    shown = f"<bdi>{escape(name)}</bdi>"
    if label is not None:
        at = f'data-file="{escape(name)}" data-label="{escape(label)}"'
        said = f'aria-label="Listen to {escape(name)}, {escape(label)}"'
        shown = f'<button type="button" class="hear" {at} {said}>▶</button> {shown}'
    return f'<th scope="row" data-value="{escape(name)}">{shown}</th>'
