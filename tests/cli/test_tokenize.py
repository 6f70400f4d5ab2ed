"""`codec tokenize` and `codec bench tokenize`: what they say, and to whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codec.sequence.store import open_store
from tests.cli.conftest import MakeSpeech, Run


@pytest.fixture
def folder(make_speech: MakeSpeech, tmp_path: Path) -> Path:
    for number in range(3):
        make_speech(f"in/{number}.wav", 0.4 + 0.2 * number)
    return tmp_path / "in"


def test_a_summary_is_printed(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("tokenize", folder, "-o", tmp_path / "out", "--kbps", "3", "--workers", "1")
    assert done.code == 0
    assert done.err == ""
    assert done.out.startswith(f"{tmp_path}/out: 3 recordings in 1 shard; 0.00 h of audio in 0:00:0")
    assert "h of audio an hour of one core" in done.out
    store = open_store(tmp_path / "out")
    assert store.codebook_sizes == (1024,) * 6
    again = run("tokenize", folder, "-o", tmp_path / "out", "--kbps", "3")
    assert again.out == f"{tmp_path}/out: 3 recordings in 1 shard\n"


def test_failures_are_told_and_make_the_exit_code_1(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "1.wav").write_bytes(b"RIFF")
    done = run("tokenize", folder, "-o", tmp_path / "out", "--workers", "1", "--json")
    assert done.code == 1
    assert done.complaint.startswith(f"codec: {folder}/1.wav: ")
    (facts,) = done.json
    assert facts["items"] == 3
    assert facts["errors"] == 1
    assert facts["hours_per_core_hour"] > 0
    assert facts["worker_memory_mib"] > 0
    (error,) = map(json.loads, (tmp_path / "out/errors.jsonl").read_text().splitlines())
    assert error["id"] == "1"
    assert run("tokenize", folder, "-o", tmp_path / "b", "--workers", "1", "--max-errors", "0").code == 1


def test_parts_of_a_job_make_one_dataset(run: Run, folder: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "out", "--workers", "1", "--per-shard", "1", "--format", "npy")
    for part in ("0/2", "1/2"):
        assert not (tmp_path / "out/dataset.json").exists()
        assert run("tokenize", folder, *options, "--shard", part).code == 0
    assert len(open_store(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--shard", "2/2"), "I from 0 to N-1"),
        (("--shard", "x"), "I from 0 to N-1"),
        (("--kbps", "3", "--codebooks", "6"), "not both"),
        (("--address", "auto"), "only --engine ray"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_usage_errors_are_told_apart(
    run: Run, folder: Path, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    done = run("tokenize", folder, "-o", tmp_path / "out", *options)
    assert done.code == 2
    assert reason in done.err
    assert not (tmp_path / "out").exists()


def test_an_impossible_rate_or_model_is_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    for options, reason in (
        (("--kbps", "99"), "99 kbps is not available"),
        (("--model", "missing"), "There is no model 'missing'"),
    ):
        done = run("tokenize", folder, "-o", tmp_path / "out", *options)
        assert done.code == 1
        assert reason in done.complaint


def test_bench_compares_the_ways_side_by_side(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray is compared by tests/scale; its cluster takes long to start.
    monkeypatch.setattr("codec.cli.bench_tokenize.find_spec", lambda name: None)
    done = run("bench", "tokenize", folder, "--rounds", "1")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "loop over model.encode, onnx",
        "local, 1 worker",
        "local, 2 workers",
    ]
    assert "round 1: loop over model.encode, onnx" in done.err
