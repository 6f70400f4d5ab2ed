"""`codec listen`: one page of one recording at all bitrates."""

from __future__ import annotations

import os
import stat
import time
import webbrowser
from pathlib import Path

import numpy as np
import pytest

from codec.audio import AudioWriter
from tests.cli.conftest import MakeSpeech, Run


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_page_with_all_rates_is_written_here(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    recording = make_speech("in/voice <b>.flac")
    result = run("listen", recording, "--no-open")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("voice <b>.listen.html: 1.00 s at 6 rates, ")
    page = (tmp_path / "voice <b>.listen.html").read_text(encoding="utf-8")
    assert "voice &lt;b&gt;.flac through speech-16k" in page
    assert "PESQ-WB" in page
    assert sorted(os.listdir(tmp_path)) == ["in", "voice <b>.listen.html"]


def test_rates_and_a_part_can_be_chosen(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    recording = make_speech("a.wav", 2.0)
    arguments = ("--kbps", "1.5,3", "--start", "0.5", "--end", "1.25", "-o", "b.html", "--no-open")
    assert run("listen", recording, *arguments).out.startswith("b.html: 0.75 s at 2 rates")


def test_of_a_long_recording_the_page_holds_the_first_30_seconds_and_says_so(
    run: Run, tmp_path: Path
) -> None:
    with AudioWriter(tmp_path / "long.wav", 8000, 1) as writer:
        writer.write(np.random.default_rng(0).normal(0, 0.01, (1, 8000 * 31)).astype(np.float32))
    result = run("listen", "long.wav", "--kbps", "0.5", "--no-open")
    assert result.out.startswith("long.listen.html: 30.00 s at 1 rate,")
    assert (
        result.complaint
        == "codec: long.wav: the page holds 30 s of it: choose others with --start and --end."
    )


def test_a_page_that_exists_stays_unless_forced(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    recording = make_speech("a.wav")
    (tmp_path / "a.listen.html").write_text("mine")
    result = run("listen", recording, "--no-open")
    assert (result.code, result.complaint) == (1, "codec: a.listen.html exists already: --force replaces it.")
    assert (tmp_path / "a.listen.html").read_text() == "mine"
    assert run("listen", recording, "--no-open", "--force", "--kbps", "3").code == 0
    assert (tmp_path / "a.listen.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["missing.wav"], 1, "missing.wav"),
        (["a.wav", "--kbps", "1,x"], 2, "is not a list of numbers like 1.5,3,6"),
        (["a.wav", "--kbps", "0.1"], 1, "0.1 kbps is not available"),
        (["a.wav", "--start", "9"], 1, "a.wav holds no sound after 9 s."),
        (["a.wav", "--start", "2", "--end", "1"], 2, "the end must come after the start"),
        (["a.wav", "-o", "no/such/folder.html"], 1, "no/such/folder.html cannot be written"),
        (["a.wav", "-o", "a.wav", "--force"], 1, "the output would replace the input"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, make_speech: MakeSpeech, tmp_path: Path, arguments: list[str], code: int, complaint: str
) -> None:
    make_speech("a.wav")
    result = run("listen", *arguments, "--no-open")
    assert result.code == code
    assert complaint in " ".join(result.err.split())
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("there_is_one", [True, False])
def test_it_opens_the_page_in_the_browser_if_there_is_one(
    run: Run, make_speech: MakeSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there_is_one: bool
) -> None:
    recording = make_speech("a b.wav")
    program, opened = tmp_path / "browser", tmp_path / "opened"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > "{opened}.part" && mv "{opened}.part" "{opened}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        webbrowser, "_tryorder", None
    )  # what it remembers from before the environment changed
    if there_is_one:
        monkeypatch.setenv("BROWSER", str(program))
    assert run("listen", recording, "--kbps", "0.5").code == 0
    end = time.monotonic() + 10
    while there_is_one and not opened.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert opened.exists() == there_is_one
    if there_is_one:
        assert opened.read_text() == (tmp_path / "a b.listen.html").as_uri()
