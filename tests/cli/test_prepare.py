"""`codec prepare`: measures, refuses, splits, and writes what training reads."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from codec.audio import resample
from codec.training.data.manifest import read_manifest, read_rows
from tests.cli.conftest import Run


@pytest.fixture
def corpus(tmp_path: Path, speech: np.ndarray) -> Path:
    """Six speakers with two good recordings each, and one recording of each fault."""
    root = tmp_path / "corpus"
    for speaker in "abcdef":
        (root / "good" / speaker).mkdir(parents=True)
        for i in range(2):
            start = 16000 * "abcdef".index(speaker)
            soundfile.write(
                root / f"good/{speaker}/{i}.flac", speech[start : start + 24000 + 8000 * i], 16000
            )
    (root / "poor").mkdir()
    random = np.random.default_rng(0)
    soundfile.write(root / "poor/clipped.wav", np.clip(40 * speech[:32000], -1, 1), 16000)
    soundfile.write(root / "poor/noisy.wav", 0.1 * random.standard_normal(32000), 16000)
    soundfile.write(root / "poor/short.wav", speech[:3200], 16000)
    soundfile.write(root / "poor/silent.wav", np.zeros(32000), 16000)
    narrow = resample(resample(speech[None, :32000], 16000, 6000), 6000, 48000)
    soundfile.write(root / "poor/narrow.wav", narrow[0], 48000)
    (root / "poor/broken.wav").write_bytes(b"RIFF")
    return root


def test_the_manifest_lists_what_is_good_split_by_speaker(run: Run, corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "lists" / "all.csv"
    manifest.parent.mkdir()
    result = run("prepare", corpus, "-o", manifest, "--valid", "0.3", "--jobs", "1")
    assert result.code == 0, result.err
    rows = read_rows(manifest)
    assert sorted({row.path.resolve().relative_to(corpus).as_posix() for row in rows}) == sorted(
        f"good/{speaker}/{i}.flac" for speaker in "abcdef" for i in range(2)
    )
    parts = {split: {row.speaker for row in rows if row.split == split} for split in ("train", "valid")}
    assert not parts["train"] & parts["valid"]
    assert 1 <= len(parts["valid"]) <= 3
    splits = read_manifest(manifest)
    assert sum(len(clips) for clips in splits.values()) == 12
    assert {clip.group for clip in splits["train"]} == {"good"}
    assert "../corpus/good/" in manifest.read_text()


def test_every_refusal_has_its_reason(run: Run, corpus: Path) -> None:
    result = run("prepare", corpus, "--json")
    (facts,) = result.json
    reasons = {Path(path).stem: why for path, why in facts["refused"].items()}
    assert set(reasons) == {"clipped", "noisy", "short", "silent", "narrow", "broken"}
    for name, part in [
        ("clipped", "of samples clip"),
        ("noisy", "estimated SNR"),
        ("short", "0.20 s is shorter than 0.3 s"),
        ("silent", "100% is silence"),
        ("narrow", "bandwidth of"),
        ("broken", "unreadable"),
    ]:
        assert part in reasons[name], reasons[name]
    assert (facts["files"], facts["kept_files"], facts["speakers"]) == (18, 12, 6)
    assert facts["rates"] == {"16000": 16, "48000": 1}
    assert facts["splits"]["train"]["files"] + facts["splits"]["valid"]["files"] == 12


def test_limits_can_be_lowered(run: Run, corpus: Path) -> None:
    options = ["--min-snr", "0", "--min-bandwidth", "0", "--max-clipping", "1", "--min-seconds", "0"]
    (facts,) = run("prepare", corpus, "--json", *options, "--max-silence", "1").json
    assert list(facts["refused"]) == ["poor/broken.wav"]


def test_jsonl_lists_the_same_and_the_seed_chooses(run: Run, corpus: Path, tmp_path: Path) -> None:
    for name, seed in (("a.csv", 1), ("a.jsonl", 1), ("b.csv", 1), ("c.csv", 2), ("d.csv", 3), ("e.csv", 4)):
        options = ["--seed", str(seed), "--valid", "0.3"]
        assert run("prepare", corpus, "-o", tmp_path / name, *options).code == 0
    assert len({(tmp_path / f"{name}.csv").read_bytes() for name in "acde"}) > 1
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert read_manifest(tmp_path / "a.csv") == read_manifest(tmp_path / "a.jsonl")


def test_the_speaker_may_be_an_outer_folder(run: Run, corpus: Path) -> None:
    (facts,) = run("prepare", corpus, "--json", "--speaker-folder", "1").json
    assert facts["speakers"] == 1
    assert facts["splits"]["valid"]["files"] == 0


def test_processes_measure_the_same(run: Run, corpus: Path, speech: np.ndarray) -> None:
    for i in range(40):
        soundfile.write(corpus / f"good/a/more{i}.wav", speech[500 * i : 500 * i + 8000], 16000)
    one, two = (run("prepare", corpus, "--json", "--jobs", jobs).json for jobs in (1, 2))
    assert one == two
    assert one[0]["files"] == 58


def test_the_report_is_one_page_that_needs_nothing_else(run: Run, corpus: Path, tmp_path: Path) -> None:
    (corpus / "poor" / "<i>.wav").write_bytes(b"")
    page = tmp_path / "report.html"
    assert run("prepare", corpus, "--report", page).code == 0
    text = page.read_text()
    assert text.count("<svg") == 6
    for part in ("http:", "https:", "src=", "<script", "<i>"):
        assert part not in text
    body = ElementTree.fromstring(text.replace("<!doctype html>", "").replace('<meta charset="utf-8">', ""))
    cells = [cell.text for cell in body.iter("td")]
    assert "poor/<i>.wav" in cells
    assert "good" in cells
    plain = tmp_path / "report.txt"
    assert run("prepare", corpus, "--report", plain).code == 0
    assert "noisy.wav" in plain.read_text()
    assert "estimated SNR (dB)" in plain.read_text()


def test_figures_go_to_stdout_and_refusals_to_stderr(run: Run, corpus: Path) -> None:
    result = run("prepare", corpus)
    assert "kept   12" in result.out
    assert "broken.wav" not in result.out
    assert len(result.err.splitlines()) == 6
    assert "codec: poor/broken.wav: refused, unreadable" in result.err


def test_outputs_are_not_replaced_without_force(run: Run, corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "all.csv"
    manifest.write_text("mine")
    result = run("prepare", corpus, "-o", manifest)
    assert result.code == 1
    assert "exists already" in result.complaint
    assert manifest.read_text() == "mine"
    assert run("prepare", corpus, "-o", manifest, "--force").code == 0
    assert len(read_rows(manifest)) == 12


def test_what_cannot_work_is_one_line(run: Run, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no recordings" in run("prepare", tmp_path / "empty").complaint
    assert "must end in .csv or .jsonl" in run("prepare", corpus, "-o", tmp_path / "a.txt").complaint
    assert "folder does not exist" in run("prepare", corpus, "-o", tmp_path / "no" / "a.csv").complaint
    nothing = run("prepare", corpus / "poor", "-o", tmp_path / "a.csv")
    assert nothing.code == 1
    assert "are refused" in nothing.err.splitlines()[-1]
    assert not (tmp_path / "a.csv").exists()
    assert run("prepare", tmp_path / "none").code == 2


def test_values_are_plain_json(run: Run, corpus: Path) -> None:
    out = run("prepare", corpus, "--json").out
    assert "NaN" not in out
    assert json.loads(out)["median"]["bandwidth"] > 7000
