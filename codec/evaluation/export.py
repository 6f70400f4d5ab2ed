"""A report as JSON, and its recordings as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict

from codec.evaluation.journal import without_nan
from codec.evaluation.results import METRICS, Measurement, Recording, Report
from codec.tokenfile.output import output

_FACTS = ("file", "seconds", "sample_rate", "channels", "system", "kbps", "file_kbps")


def write_json(path: str, report: Report) -> None:
    """Writes everything that the report holds, with null where there is no value; raises OutputError."""
    whole = {
        "title": report.title,
        "means": [asdict(row) for row in report.rows],
        "recordings": [asdict(item) for item in report.recordings],
        "health": [asdict(item) for item in report.health],
    }
    write_text(path, json.dumps(without_nan(whole), indent=1) + "\n")


def write_csv(path: str, report: Report) -> None:
    """Writes a line for each recording, system and rate, with nothing where there is no value.

    The last column says of which metrics that is so, and why; or why there is nothing about a file. Raises
    OutputError.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*_FACTS, *(metric.key for metric in METRICS), "problems"])
    for recording in report.recordings:
        if recording.error:
            table.writerow([recording.file, *[""] * (len(_FACTS) - 1 + len(METRICS)), recording.error])
        table.writerows(_line(recording, item) for item in recording.measurements)
    write_text(path, text.getvalue())


def write_text(path: str, text: str) -> None:
    """Writes a whole file or nothing; raises OutputError."""
    with output(path) as file:
        file.write(text.encode(errors="surrogateescape"))


def _line(recording: Recording, item: Measurement) -> list[str]:
    facts = (recording.file, f"{recording.seconds:.3f}", str(recording.sample_rate), str(recording.channels))
    rates = (item.system, _figure(item.kbps), _figure(item.file_kbps))
    values = [_figure(item.metrics.get(metric.key, math.nan)) for metric in METRICS]
    return [*facts, *rates, *values, "; ".join(f"{name}: {why}" for name, why in item.failures.items())]


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
