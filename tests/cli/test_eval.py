"""`codec eval`: a table, files, a page, and one clear line for what goes wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from codec.evaluation.results import METRICS
from tests.cli.conftest import MakeSpeech, Run
from tests.conftest import SAMPLES


def test_a_table_and_files_and_a_page_come_out(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    paths = [tmp_path / f"report.{suffix}" for suffix in ("json", "csv", "html")]
    files = [make_speech("a.wav", 1.5), SAMPLES / "silence.wav"]
    command = [
        "eval",
        *files,
        "--kbps",
        "1.5,6",
        "--peer",
        "copy=cp {in} {out}",
        "--against",
        "opus@8",
        "--health",
    ]
    for option, path in zip(("--json", "--csv", "--report"), paths, strict=True):
        command += [option, path]
    result = run(*command, "--jobs", "1")
    assert result.code == 0
    lines = result.out.splitlines()
    assert "PESQ-WB" in lines[1]
    assert [line.split()[0] for line in lines[2:6]] == ["speech-16k", "speech-16k", "opus", "copy"]
    assert "PESQ-WB 1" in result.out.replace("\n", " ")
    assert "codebooks of speech-16k" in result.out
    (said,) = (line for line in result.err.splitlines() if "PESQ-WB" in line)
    assert "silence.wav: no value of PESQ-WB" in said
    assert "for speech-16k 1.5 kbps and 3 more: the recording is silent." in said

    whole = json.loads(paths[0].read_text())
    assert [row["kbps"] for row in whole["means"]] == [1.5, 6, 8, None]
    assert whole["means"][0]["metrics"]["stoi"]["missing"] == 1
    assert whole["recordings"][1]["measurements"][0]["metrics"]["stoi"] is None
    assert len(whole["health"][0]["stages"]) == 16
    rows = list(csv.DictReader(paths[1].open()))
    assert len(rows) == 8
    assert {metric.key for metric in METRICS} <= set(rows[0])
    assert float(rows[3]["pesq_wb"]) == pytest.approx(4.64, abs=0.01)
    assert rows[4]["pesq_wb"] == ""
    assert "pesq_wb: the recording is silent" in rows[4]["problems"]
    page = paths[2].read_text()
    assert page.startswith("<!doctype html>")
    assert "speech-16k 6 kbps" in page


def test_a_peer_that_fails_fails_the_command(run: Run, make_speech: MakeSpeech) -> None:
    file = make_speech("a.wav", 1.0)
    result = run("eval", file, "--kbps", "3", "--peer", "x=false {in} {out}", "--jobs", "1")
    assert result.code == 1
    said = result.err.splitlines()[-1]
    assert said.endswith(
        "a.wav: no value of any metric for x: x failed: false failed with exit code 1 and said nothing."
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--against", "mp3"], "'mp3' is not built in, and only opus is"),
        (["--against", "opus@3"], "opusenc has no 3 kbps"),
        (["--peer", "x"], "'x' is no peer"),
        (["--peer", "x=nothing-such {in} {out}"], "The program nothing-such is not there to be run"),
        (["--kbps", "77"], "77 kbps is not available"),
        (["--model", "none"], "There is no model 'none'"),
        (["--json", "/nowhere/a.json"], "the folder /nowhere does not exist"),
        (["--csv", str(SAMPLES / "silence.wav")], "exists already"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_is_measured(
    run: Run, make_speech: MakeSpeech, options: list[str], said: str
) -> None:
    result = run("eval", make_speech("a.wav", 1.0), *options)
    assert result.code == 1
    assert said in result.complaint
    assert not result.out


def test_rates_that_are_no_numbers_are_a_usage_error(run: Run, make_speech: MakeSpeech) -> None:
    result = run("eval", make_speech("a.wav", 1.0), "--kbps", "low")
    assert result.code == 2
    assert "is not a list of numbers" in result.err


def test_a_journal_makes_the_second_run_print_the_same(
    run: Run, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    command = ["eval", make_speech("a.wav", 1.0), "--kbps", "3", "--health", "--jobs", "1"]
    first, second = (run(*command, "--journal", tmp_path / "journal") for _ in range(2))
    assert first.code == second.code == 0
    assert first.out == second.out
    assert len((tmp_path / "journal").read_text().splitlines()) == 2


def test_a_plot_is_a_picture_of_the_metric_that_was_asked_for(
    run: Run, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    plot = tmp_path / "plot.svg"
    command = ["eval", make_speech("a.wav", 1.0), "--kbps", "1.5,3", "--jobs", "1", "--plot", plot]
    assert run(*command, "--plot-metric", "stoi").code == 0
    text = plot.read_text()
    assert text.startswith("<svg")
    assert "STOI" in text


def test_a_plot_of_no_metric_is_a_usage_error(run: Run, make_speech: MakeSpeech) -> None:
    result = run("eval", make_speech("a.wav", 1.0), "--plot-metric", "beauty")
    assert result.code == 2
    assert "choose one of pesq_wb" in result.err
