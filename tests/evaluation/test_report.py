"""Quality by bitrate, measured on decoded recordings, and summed up with its uncertainty."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.cli import main
from codec.evaluation.report import METRICS, interval, score, score_files
from tests.conftest import SAMPLES


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.integers(0, 3))
def test_an_interval_holds_its_mean_and_counts_what_is_missing(values: list[float], missing: int) -> None:
    found = interval([*values, *[math.nan] * missing])
    assert found == interval([*values, *[math.nan] * missing])
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.missing == missing
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_has_the_width_of_the_central_limit_theorem() -> None:
    x = np.random.default_rng(1).normal(size=400)
    found = interval(x.tolist())
    assert found.high - found.low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)


def test_more_codebooks_measure_better(model: codec.Codec, speech: np.ndarray) -> None:
    low, high = score(model, speech[None, :48000], 16000, [8, 0.5])
    assert (low.kbps, high.kbps) == (0.5, 8)
    assert high.mel_distance < low.mel_distance
    assert high.si_sdr > low.si_sdr
    assert high.file_kbps == pytest.approx(8, rel=0.05)


def test_silence_has_no_score_but_is_no_error(model: codec.Codec) -> None:
    (found,) = score(model, np.zeros((1, 16000), np.float32), 16000, [3])
    assert math.isnan(found.pesq_wb)
    assert math.isnan(found.stoi)


def test_several_processes_measure_what_one_does() -> None:
    files = [str(SAMPLES / name) for name in ("voice_a.flac", "missing.wav", "stereo_44k.wav")]
    alone, together = (list(score_files(files, [0.5, 6], jobs=jobs)) for jobs in (1, 2))
    assert [item.file for item in together] == files
    assert [bool(item.error) for item in together] == [False, True, False]
    for a, b in zip(alone, together, strict=True):
        for x, y in zip(a.scores, b.scores, strict=True):
            for name in METRICS:
                assert getattr(x, name) == pytest.approx(getattr(y, name), abs=0.02, nan_ok=True)


def test_the_command_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    command = ["eval", str(SAMPLES / "voice_a.flac"), str(SAMPLES / "silence.wav"), "--jobs", "1"]
    assert main([*command, "--kbps", "1.5,6", "--json", str(report)]) == 0
    table = capsys.readouterr().out
    assert "PESQ-WB" in table
    assert "no value: PESQ-WB 1, STOI 1" in " ".join(table.split())
    whole = json.loads(report.read_text())
    assert [row["kbps"] for row in whole["means"]] == [1.5, 6]
    assert whole["means"][1]["metrics"]["stoi"]["missing"] == 1
    assert [Path(item["file"]).name for item in whole["recordings"]] == ["voice_a.flac", "silence.wav"]
    assert whole["recordings"][1]["scores"][0]["stoi"] is None
    assert main([*command, "--json", str(report)]) == 1
    assert "exists already" in capsys.readouterr().err
