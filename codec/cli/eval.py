"""`codec eval`: the quality of models and of other codecs on recordings, by bitrate."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import missing_extra, report
from codec.containers import AUDIO_SUFFIXES
from codec.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from codec.evaluation.results import Health, Recording, Report
    from codec.evaluation.systems import ModelSystem, System


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Recordings, folders of them, or patterns like '*.wav'."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help="A shipped model's name, or the path of one; repeat it to compare models."),
    ] = None,
    kbps: Annotated[
        str | None,
        typer.Option(help="Bitrates, in kilobits per second and channel; default: 0.5,1,1.5,3,6,8."),
    ] = None,
    vbr: Annotated[
        str | None, typer.Option(metavar="KBPS,...", help="Variable bitrates to measure as well.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="opus[@KBPS,...]", help="Compare with Opus; default: at 6, 8 and 12 kbps."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME=COMMAND {in} {out}'",
            help="Compare with any command that reads and writes a WAV; {kbps} runs it for each bitrate, and "
            "the size of what it leaves at {file} gives the real one.",
        ),
    ] = None,
    health: Annotated[
        bool, typer.Option("--health", help="Also how well the model uses its codebooks.")
    ] = False,
    page: Annotated[
        str | None,
        typer.Option("--report", metavar="FILE.html", help="Write a page of plots, tables and players here."),
    ] = None,
    clips: Annotated[
        int, typer.Option(min=0, help="Recordings to be heard on the page, the worst ones first.")
    ] = 8,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE.svg", help="Write a plot of quality over bitrate here.")
    ] = None,
    plot_metric: Annotated[
        str, typer.Option(metavar="KEY", help="What the plot shows: a metric by its name in --json.")
    ] = "pesq_wb",
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    as_csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write a line a recording and bitrate here.")
    ] = None,
    journal: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Keep figures here as they are measured, and do not measure again what it holds already: "
            "after an interruption, the same command goes on.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Recordings measured at once; default: the number of processors."),
    ] = None,
    device: options.Device = "cpu",
    force: options.Force = False,
) -> None:
    """Measure decoded recordings by bitrate: PESQ, ViSQOL, STOI, SI-SDR, distances of spectra and pitch."""
    rates = None if kbps is None else _rates(kbps, "--kbps")
    for target in (as_json, as_csv, page, plot):
        _check_target(target, force)
    try:
        from codec.evaluation import clips as clip_maker
        from codec.evaluation import export
        from codec.evaluation.results import METRICS
        from codec.evaluation.systems import check_names, model_systems, variable_systems
    except ImportError as error:
        if (error.name or "").startswith("codec"):
            raise
        raise missing_extra("eval", error) from error

    keys = [metric.key for metric in METRICS]
    if plot_metric not in keys:
        raise typer.BadParameter(f"choose one of {', '.join(keys)}", param_hint="--plot-metric")
    models = model_systems(model or [None], rates, device)
    variable = [] if vbr is None else variable_systems(models, _rates(vbr, "--vbr"))
    systems: list[System] = [*models, *variable, *_peers(against or [], peer or [], rates)]
    check_names(systems)
    found = paths.find(inputs, AUDIO_SUFFIXES)
    for item in found:
        if item.error is not None:
            report(item.error, item.path)
    names = list(dict.fromkeys(item.path for item in found if item.error is None))
    recordings, checked = _measure(
        names, systems, models if health else [], jobs or os.cpu_count() or 1, journal
    )
    whole = _whole(recordings, checked, models)
    _tell(whole)
    if as_json is not None:
        export.write_json(as_json, whole)
    if as_csv is not None:
        export.write_csv(as_csv, whole)
    if plot is not None:
        from codec.evaluation.page import rate_distortion_svg

        export.write_text(plot, rate_distortion_svg(whole.rows, plot_metric))
    if page is not None:
        from codec.evaluation.page import render

        export.write_text(page, render(whole, list(clip_maker.clips(recordings, systems, clips))))
    failed = any(item.error or any(m.failed for m in item.measurements) for item in recordings)
    if not whole.rows or failed or any(item.error for item in found):
        raise typer.Exit(1)


def _measure(
    names: Sequence[str],
    systems: Sequence[System],
    probed: Sequence[ModelSystem],
    jobs: int,
    journal: str | None,
) -> tuple[list[Recording], list[Health]]:
    """The recordings in the order of their names, and the health of the probed models."""
    from codec.evaluation.engine import evaluate
    from codec.evaluation.health import HealthCheck
    from codec.evaluation.journal import Journal

    checks = {item.name: HealthCheck(item.name, item.load().codebook_sizes) for item in probed}
    recordings: dict[int, Recording] = {}
    with ExitStack() as stack:
        kept = None if journal is None else stack.enter_context(Journal(journal))
        bar = stack.enter_context(progress_bar(len(names)))
        for number, outcome in evaluate(names, systems, probed=probed, jobs=jobs, journal=kept):
            recordings[number] = outcome.recording
            bar.follow(len(recordings), outcome.recording.file)
            for probe in outcome.probes:
                checks[probe.system].add(probe)
            if outcome.recording.error:
                with bar.paused():
                    report(outcome.recording.error, outcome.recording.file)
    return [recordings[number] for number in sorted(recordings)], [
        check.health() for check in checks.values()
    ]


def _whole(
    recordings: Sequence[Recording], checked: Sequence[Health], models: Sequence[ModelSystem]
) -> Report:
    from codec.evaluation.results import Report
    from codec.evaluation.summary import summarize

    counted = f"{len(recordings)} recording{'s' if len(recordings) != 1 else ''}"
    title = f"{', '.join(item.name for item in models)} on {counted}"
    return Report(title, summarize(recordings), tuple(recordings), tuple(checked))


def _tell(whole: Report) -> None:
    from codec.cli import eval_tables

    if whole.rows:
        eval_tables.print_rows(whole.rows)
    for health in whole.health:
        eval_tables.print_health(health)
    for recording in whole.recordings:
        for line in eval_tables.without_value(recording):
            report(line, recording.file)


def _peers(against: Sequence[str], commands: Sequence[str], rates: Sequence[float] | None) -> list[System]:
    from codec.evaluation.opus import opus_system
    from codec.evaluation.peers import peer_system
    from codec.evaluation.systems import DEFAULT_KBPS

    peers: list[System] = []
    for text in against:
        name, at, own = text.partition("@")
        if name != "opus":
            raise ConfigError(f"{name!r} is not built in, and only opus is: use --peer for other codecs.")
        peers.append(opus_system(_rates(own, "--against") if at else ()))
    return peers + [peer_system(text, rates or DEFAULT_KBPS) for text in commands]


def _rates(text: str, option: str) -> list[float]:
    try:
        rates = sorted({float(part) for part in text.split(",")})
    except ValueError:
        rates = []
    if not rates or not all(math.isfinite(rate) for rate in rates):
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 0.5,3,6", param_hint=option)
    return rates


def _check_target(target: str | None, force: bool) -> None:
    """Says before hours of measuring what would go wrong after them."""
    if target is None:
        return
    problem = paths.check_target("-", target, force)
    if problem is not None:
        raise problem
    folder = os.path.dirname(os.path.realpath(target))
    if not os.path.isdir(folder):
        raise OutputError(f"{target} cannot be written: the folder {folder} does not exist.")
