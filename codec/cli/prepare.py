"""`codec prepare`: a look at a corpus before training, and the list of what to train on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import printable, report
from codec.containers import AUDIO_SUFFIXES
from codec.errors import AudioError, CodecError, ConfigError, OutputError

if TYPE_CHECKING:
    from codec.training.analysis import Analysis

_SHOWN = 10


def prepare(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The corpus, at any depth.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Manifest to write: .csv or .jsonl."),
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="One-page report to write: .html or .txt.")
    ] = None,
    min_snr: Annotated[float, typer.Option(help="Refuse below this estimated SNR, in dB.")] = 15.0,
    min_bandwidth: Annotated[float, typer.Option(help="Refuse below this true bandwidth, in Hz.")] = 3500.0,
    max_clipping: Annotated[float, typer.Option(help="Refuse above this share of clipped samples.")] = 0.001,
    min_seconds: Annotated[float, typer.Option(help="Refuse what is shorter.")] = 0.3,
    max_silence: Annotated[float, typer.Option(help="Refuse above this share of silence.")] = 0.9,
    valid: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share for validation, of the duration, by whole speakers.")
    ] = 0.05,
    speaker_folder: Annotated[
        int,
        typer.Option(min=0, help="Which folder below DIR is the speaker: 1 is the first, 0 a file's own."),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of validation speakers.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Files measured at once; default: the number of processors.")
    ] = None,
    force: options.Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Measure a corpus, refuse poor recordings, and write a manifest with a split by speaker."""
    from codec.training import prepare as corpus
    from codec.training import prepare_report

    _check_targets(output, report_file, force)
    limits = corpus.Thresholds(min_snr, min_bandwidth, max_clipping, min_seconds, max_silence)
    found = [item for item in paths.find([str(folder)], AUDIO_SUFFIXES) if item.error is None]
    if not found:
        raise AudioError(f"{folder} holds no recordings.")
    names = [item.inside for item in found]
    measured: list[Analysis | str] = []
    with progress_bar(len(names)) as bar:
        for result in corpus.measure(folder, names, jobs or os.cpu_count() or 1):
            bar.follow(len(measured), names[len(measured)])
            measured.append(result)
    recordings = corpus.judge(names, measured, limits, valid=valid, seed=seed, speaker_folder=speaker_folder)
    facts = prepare_report.summary(recordings, limits)
    # Files first: who reads what is printed may stop reading.
    if report_file is not None:
        make = prepare_report.text_report if report_file.suffix == ".txt" else prepare_report.html_report
        _write(report_file, make(f"Corpus {folder}", recordings, limits))
    if output is not None and facts["kept_files"]:
        _write(output, corpus.manifest_text(folder, output, recordings))
    if as_json:
        print(json.dumps({"folder": str(folder), **facts}))
    else:
        text = prepare_report.text_report(str(folder), recordings, limits)
        # The refused are for stderr, where they do not drown the figures.
        print("\n".join(printable(line) for line in text.split("\nRefused:")[0].rstrip().split("\n")))
    refused = list(facts["refused"].items())
    for name, why in refused[:_SHOWN]:
        report(f"refused, {why}", name)
    if len(refused) > _SHOWN:
        report(f"{len(refused) - _SHOWN} more are refused: --report or --json names them all.")
    if facts["kept_files"] == 0:
        raise AudioError(f"All recordings in {folder} are refused: look at the reasons, or lower the limits.")
    if valid > 0 and facts["splits"]["valid"]["files"] == 0:
        report("nothing is held out for validation: there is only one speaker (see --speaker-folder).")


def _check_targets(output: Path | None, report_file: Path | None, force: bool) -> None:
    """Before hours of measuring: can the results be written?"""
    for path, suffixes in ((output, (".csv", ".jsonl")), (report_file, (".html", ".txt"))):
        if path is None:
            continue
        if path.suffix not in suffixes:
            raise ConfigError(f"{path} must end in {' or '.join(suffixes)}.")
        if not path.parent.is_dir():
            raise OutputError(f"{path} cannot be written: its folder does not exist.")
        problem: CodecError | None = paths.check_target("-", str(path), force)
        if problem is not None:
            raise OutputError(f"{path}: {problem}")


def _write(path: Path, text: str) -> None:
    from codec.tokenfile.output import output

    try:
        with output(str(path)) as file:
            file.write(text.encode(errors="surrogateescape"))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {(error.strerror or '').lower()}.") from error
