"""`codec eval`: the quality of a model on recordings, by bitrate."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import missing_extra, report
from codec.errors import OutputError

if TYPE_CHECKING:
    from codec.evaluation.report import FileResult, Interval, Row

# Column headings, the metrics under them, and digits after the point.
_SHOWN = {
    "PESQ-WB": ("pesq_wb", 2),
    "STOI": ("stoi", 3),
    "SI-SDR (dB)": ("si_sdr", 1),
    "mel distance": ("mel_distance", 3),
}
_TABLE_WIDTH = 120


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Recordings, folders of them, or patterns like '*.wav'."),
    ],
    kbps: Annotated[str, typer.Option(help="Bitrates, in kilobits per second and channel.")] = "0.5,1.5,3,6",
    model: options.Model = None,
    device: options.Device = "cpu",
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Recordings measured at once; default: the number of processors."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the figures of every recording here.")
    ] = None,
    force: options.Force = False,
) -> None:
    """Measure PESQ-WB, STOI, SI-SDR and mel distance of decoded recordings, by bitrate."""
    rates = _rates(kbps)
    if output is not None and (problem := paths.check_target("-", output, force)) is not None:
        raise problem
    try:
        from codec.evaluation.report import score_files, summarize
    except ImportError as error:
        if (error.name or "").startswith("codec"):
            raise
        raise missing_extra("eval", error) from error

    found = paths.find(inputs, paths.AUDIO_SUFFIXES)
    for item in found:
        if item.error is not None:
            report(item.error, item.path)
    names = [item.path for item in found if item.error is None]
    results: list[FileResult] = []
    with progress_bar(len(names)) as bar:
        for result in score_files(names, rates, model=model, device=device, jobs=jobs or os.cpu_count() or 1):
            results.append(result)
            bar.follow(len(results), result.file)
            if result.error:
                with bar.paused():
                    report(result.error, result.file)
    rows = summarize(results)
    if rows:
        _print(rows)
    if output is not None:
        _write(output, results, rows)
    if not rows or any(item.error for item in found) or any(item.error for item in results):
        raise typer.Exit(1)


def _rates(text: str) -> list[float]:
    try:
        rates = sorted({float(part) for part in text.split(",")})
    except ValueError:
        rates = []
    if not rates or not all(math.isfinite(rate) for rate in rates):
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 0.5,3,6", param_hint="--kbps")
    return rates


def _print(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=None, title="means over recordings, with 95 % bootstrap intervals", title_justify="left"
    )
    for heading in ("kbps", "in file", "recordings", *_SHOWN):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        figures = [_figure(row.metrics[name], digits) for name, digits in _SHOWN.values()]
        table.add_row(f"{row.kbps:g}", f"{row.file_kbps:.2f}", str(row.recordings), *figures)
    # A terminal that is too narrow shall wrap lines, but no figure shall be left out.
    console = Console(width=max(Console().width, _TABLE_WIDTH))
    console.print(table)
    missing = [f"{shown} {most}" for shown, (name, _) in _SHOWN.items() if (most := _missing(rows, name))]
    if missing:
        console.print(f"recordings that have no value: {', '.join(missing)}")


def _missing(rows: Sequence[Row], metric: str) -> int:
    return max(row.metrics[metric].missing for row in rows)


def _figure(value: Interval, digits: int) -> str:
    return f"{value.mean:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def _write(path: str, results: Sequence[FileResult], rows: Sequence[Row]) -> None:
    from codec.tokenfile.output import output

    whole = {"means": [asdict(row) for row in rows], "recordings": [asdict(item) for item in results]}
    text = json.dumps(_without_nan(whole), indent=1) + "\n"
    try:
        with output(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {(error.strerror or '').lower()}") from error


def _without_nan(value: Any) -> Any:
    """Plain data with null in the place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
