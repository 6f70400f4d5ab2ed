"""What `codec prepare` found, on one page: text, or HTML that needs nothing else."""

from __future__ import annotations

import html
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec.training.analysis import Analysis
from codec.training.prepare import Recording, Thresholds

_LISTED = 5000
_BINS = 24
_GROUPS = 20


@dataclass(frozen=True)
class Figure:
    """A measurement with a histogram: its title, how to get it, and the threshold that refuses, if any."""

    title: str
    value: Callable[[Analysis], float]
    threshold: float | None


def summary(recordings: Sequence[Recording], thresholds: Thresholds) -> dict[str, Any]:
    """The figures of the whole corpus, as plain values for JSON."""
    read = [item.analysis for item in recordings if item.analysis is not None]
    kept = [item for item in recordings if not item.refused]
    return {
        "files": len(recordings),
        "hours": _hours(recordings),
        "kept_files": len(kept),
        "kept_hours": _hours(kept),
        "refused_files": len(recordings) - len(kept),
        "speakers": len({item.speaker for item in kept}),
        "splits": {
            split: {
                "files": len(part),
                "hours": _hours(part),
                "speakers": len({item.speaker for item in part}),
            }
            for split in ("train", "valid")
            for part in [[item for item in kept if item.split == split]]
        },
        "rates": {str(rate): count for rate, count in sorted(Counter(item.rate for item in read).items())},
        "median": {
            name: float(np.median([getattr(item, name) for item in read])) if read else None
            for name in ("seconds", "bandwidth", "snr", "clipping", "silence", "level")
        },
        "thresholds": vars(thresholds),
        "refused": {item.path: item.refused for item in recordings if item.refused},
    }


def text_report(title: str, recordings: Sequence[Recording], thresholds: Thresholds) -> str:
    """The page as plain text."""
    lines = [title, ""]
    for heading, rows in _tables(recordings, thresholds):
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += [
            heading,
            *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows),
        ]
        lines.append("")
    return "\n".join(lines)


def html_report(title: str, recordings: Sequence[Recording], thresholds: Thresholds) -> str:
    """The page as HTML: tables, and histograms as SVG inside it."""
    read = [item.analysis for item in recordings if item.analysis is not None]
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for number, (heading, rows) in enumerate(_tables(recordings, thresholds)):
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows[1:]
        )
        parts.append(f"<h2>{html.escape(heading)}</h2>\n<table><tr>{head}</tr>\n{body}</table>")
        if number == 0 and read:
            figures = [_histogram(figure, read) for figure in _figures(thresholds)]
            parts.append(f"<div>{''.join(figures)}</div>")
    return _PAGE.replace("TITLE", html.escape(title), 1).replace("BODY", "\n".join(parts), 1)


def _hours(recordings: Sequence[Recording]) -> float:
    return sum(item.analysis.seconds for item in recordings if item.analysis is not None) / 3600


def _figures(limits: Thresholds) -> list[Figure]:
    return [
        Figure("length (s)", lambda a: a.seconds, limits.min_seconds),
        Figure("bandwidth (kHz)", lambda a: a.bandwidth / 1000, limits.min_bandwidth / 1000),
        Figure("estimated SNR (dB)", lambda a: a.snr, limits.min_snr),
        Figure("level (dB of full scale)", lambda a: a.level, None),
        Figure("silence (%)", lambda a: 100 * a.silence, 100 * limits.max_silence),
        Figure("clipped samples (%)", lambda a: 100 * a.clipping, 100 * limits.max_clipping),
    ]


def _tables(recordings: Sequence[Recording], limits: Thresholds) -> list[tuple[str, list[list[str]]]]:
    """Headings and rows, the first row of each the names of its columns."""
    facts = summary(recordings, limits)
    corpus = [["", "files", "hours", "speakers"]]
    corpus.append(["found", str(facts["files"]), f"{facts['hours']:.2f}", ""])
    corpus.append(["kept", str(facts["kept_files"]), f"{facts['kept_hours']:.2f}", str(facts["speakers"])])
    for split, part in facts["splits"].items():
        corpus.append([split, str(part["files"]), f"{part['hours']:.2f}", str(part["speakers"])])
    tables = [("Corpus", corpus)]
    read = [item.analysis for item in recordings if item.analysis is not None]
    if read:
        rows = [["", "5 %", "median", "95 %"]]
        for figure in _figures(limits):
            low, middle, high = np.percentile([figure.value(a) for a in read], [5, 50, 95])
            rows.append([figure.title, f"{low:.3g}", f"{middle:.3g}", f"{high:.3g}"])
        tables.append(("Recordings", rows))
        rates: dict[tuple[int, int], list[float]] = defaultdict(list)
        for a in read:
            rates[a.rate, a.channels].append(a.seconds)
        formats = [["rate (Hz)", "channels", "files", "hours"]]
        for (rate, channels), seconds in sorted(rates.items()):
            formats.append([f"{rate:,}", str(channels), str(len(seconds)), f"{sum(seconds) / 3600:.2f}"])
        tables.append(("Formats", formats))
        tables.append((f"Largest folders (at most {_GROUPS})", _groups(recordings)))
    refused = [item for item in recordings if item.refused]
    if refused:
        rows = [["file", "why"], *([item.path, item.refused] for item in refused[:_LISTED])]
        if len(refused) > _LISTED:
            rows.append([f"and {len(refused) - _LISTED} more", "see --json"])
        tables.append((f"Refused: {len(refused)}", rows))
    return tables


def _groups(recordings: Sequence[Recording]) -> list[list[str]]:
    groups: dict[str, list[Recording]] = defaultdict(list)
    for item in recordings:
        groups[item.group or "."].append(item)
    rows = [["folder", "files", "hours", "kept", "speakers", "bandwidth (kHz)", "SNR (dB)"]]
    largest = sorted(groups, key=lambda name: -_hours(groups[name]))[:_GROUPS]
    for name, items in ((name, groups[name]) for name in sorted(largest)):
        read = [item.analysis for item in items if item.analysis is not None]
        bandwidth, snr = (
            float(np.median([getattr(a, key) for a in read])) if read else 0.0 for key in ("bandwidth", "snr")
        )
        kept = sum(not item.refused for item in items)
        speakers = len({item.speaker for item in items})
        rows.append(
            [
                name,
                str(len(items)),
                f"{_hours(items):.2f}",
                str(kept),
                str(speakers),
                f"{bandwidth / 1000:.1f}",
                f"{snr:.0f}",
            ]
        )
    return rows


def _histogram(figure: Figure, read: Sequence[Analysis]) -> str:
    """Counts in even bins up to the 99th percentile; the last bin takes what is above."""
    values = np.array([figure.value(a) for a in read])
    low, high = float(values.min()), float(np.percentile(values, 99))
    if high <= low:  # all alike: one bar, at the left
        high = low + max(1.0, abs(low))
    counts, edges = np.histogram(np.minimum(values, high), _BINS, (low, high))
    width, height = 300, 120
    step = width / _BINS
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{height * (1 - n / counts.max()):.1f}" width="{step - 1:.1f}" '
        f'height="{height * n / counts.max():.1f}">'
        f"<title>{edges[i]:.3g} to {edges[i + 1]:.3g}: {n}</title></rect>"
        for i, n in enumerate(counts.tolist())
    )
    limit = ""
    if figure.threshold is not None and low < figure.threshold < high:
        x = width * (figure.threshold - low) / (high - low)
        limit = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'
    return (
        f'<figure><svg viewBox="0 0 {width} {height + 16}" width="{width}" role="img">{bars}{limit}'
        f'<text x="0" y="{height + 13}">{low:.3g}</text>'
        f'<text x="{width}" y="{height + 13}" text-anchor="end">{high:.3g}</text></svg>'
        f"<figcaption>{html.escape(figure.title)}</figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>TITLE</title>
<style>
body { font: 15px/1.4 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin-bottom: 1rem; }
th, td { text-align: left; padding: 2px 14px 2px 0; }
th { border-bottom: 1px solid #999; } tr:nth-child(odd) td { background: #f5f5f5; }
figure { display: inline-block; margin: 0 1rem 1rem 0; } figcaption { font-size: 13px; }
rect { fill: #4878a8; } line { stroke: #c33; stroke-width: 2; } text { font-size: 11px; fill: #555; }
</style></head><body>
BODY
</body></html>
"""
