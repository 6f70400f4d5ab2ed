"""One job after the other: a failure is reported and the rest still done; progress, and a line a file."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from codec.cli.loading import Loader
from codec.cli.paths import Job
from codec.cli.report import is_broken_pipe, printable, report, sentence
from codec.errors import CodecError, OutputError

if TYPE_CHECKING:
    from codec.files import Coded, Progress

Work = Callable[[Job, "Progress"], "Coded"]


def run(jobs: Sequence[Job], work: Work, loader: Loader, *, as_json: bool) -> None:
    """Does all jobs and prints a line for each; raises typer.Exit(1) at the end if one has failed."""
    if any(job.target == "-" for job in jobs):
        if as_json:
            raise typer.BadParameter("--json needs an output file: standard output carries the audio")
        if sys.stdout.isatty():
            raise typer.BadParameter(
                "this would fill the terminal with bytes: give a file with -o, or a pipe"
            )
    failed = False
    with progress_bar(len(jobs)) as bar:
        for number, job in enumerate(jobs):
            try:
                facts = _one(job, work, loader, bar.follow(number, job.source))
            except CodecError as error:
                if is_broken_pipe(error):
                    raise
                failed = True
                with bar.paused():
                    report(error, job.source)
                facts = {"input": job.source, "output": job.target, "error": sentence(error, job.source)}
            if as_json or (job.target != "-" and "error" not in facts):
                with bar.paused():
                    print(json.dumps(facts) if as_json else _line(facts), flush=True)
    if failed:
        raise typer.Exit(1)


def _one(job: Job, work: Work, loader: Loader, progress: Progress) -> dict[str, Any]:
    if job.error is not None:
        raise job.error
    if job.target != "-":
        _make_folder(os.path.dirname(job.target))
    begin, loading = time.perf_counter(), loader.seconds
    coded = work(job, progress)
    took = time.perf_counter() - begin - (loader.seconds - loading)
    for warning in coded.warnings:
        report(f"warning: {sentence(warning, job.source)}")
    return {
        "input": job.source,
        "output": job.target,
        "seconds": coded.seconds,
        "sample_rate": coded.sample_rate,
        "channels": coded.channels,
        "codebooks": coded.codebooks,
        "kbps": coded.kbps,
        "vbr": coded.vbr,
        "bytes": os.path.getsize(job.target) if job.target != "-" else None,
        "x_realtime": round(coded.seconds / max(took, 1e-9), 2),
    }


def _make_folder(folder: str) -> None:
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {(error.strerror or '').lower()}") from error


def _line(facts: dict[str, Any]) -> str:
    rate = f"{facts['kbps']:g} kbps"
    if facts["vbr"] is not None:
        # What it came to: a recording has more or less to say than others.
        rate = f"{8 * facts['bytes'] / (1000 * facts['channels'] * max(facts['seconds'], 1e-9)):.2f} kbps"
    return printable(
        f"{facts['output']}: {facts['seconds']:.2f} s at {rate}, {facts['bytes']:,} bytes, "
        f"{facts['x_realtime']:.0f} x real time"
    )


class ProgressBar:
    """Nothing to see: what there is where stderr is no terminal."""

    def follow(self, number: int, name: str) -> Progress:
        """The progress of one job."""
        return lambda done, total: None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While lines are printed."""
        yield


@contextmanager
def progress_bar(jobs: int) -> Iterator[ProgressBar]:
    """A bar on a terminal, and nothing in a pipe."""
    if not sys.stderr.isatty():
        yield ProgressBar()
        return
    from codec.cli.bar import RichBar

    with RichBar(jobs) as bar:
        yield bar
