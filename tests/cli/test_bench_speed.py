"""`codec bench`: figures side by side, as a table or as JSON."""

from __future__ import annotations

import json

import pytest

from codec.cli import main
from codec.evaluation.speed import scaling
from tests.cli.conftest import MakeSpeech


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    assert main(["bench", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_speed_is_measured_for_each_contender(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--only", "torch,opus", "--seconds", "1", "--rounds", "1", "--stream-seconds", "1"]
    (found,) = printed(capsys, "speed", *options, "--threads", "1")
    assert [row["name"] for row in found["speed"]] == ["speech-16k, torch", "Opus"]
    for row in found["speed"]:
        assert row["threads"] == 1
        for part in ("encode", "decode"):
            assert 0 < row[part]["slowest"] <= row[part]["x_real_time"] <= row[part]["fastest"]
    own = found["about"]["speech-16k, torch"]
    # The matrices alone: 4 and 6 blocks of 2 x 384 x 768, the codebooks, and the filter banks.
    assert 0.15e9 < min(own["macs"]) <= max(own["macs"]) < 0.5e9
    assert own["first_byte_ms"] > 40
    assert own["frame_ms"]["both"]["median"] <= own["frame_ms"]["both"]["maximum"]
    assert own["peak_mib"] > 50
    assert found["missing"] == []


def test_cost_is_fitted_over_lengths_and_codebooks(capsys: pytest.CaptureFixture[str]) -> None:
    lengths, codebooks = printed(capsys, "scaling", "--seconds", "1,2,4", "--rounds", "1")
    assert (lengths["axis"], lengths["sizes"]) == ("seconds", [1, 2, 4])
    assert (codebooks["axis"], codebooks["sizes"]) == ("codebooks", [*range(2, 17, 2)])
    assert all(time > 0 for found in (lengths, codebooks) for time in (*found["encode"], *found["decode"]))
    assert 0.3 <= lengths["encode_exponent"] <= 3


def test_the_exponent_of_what_comes_beyond_a_constant_is_found() -> None:
    sizes = [2, 4, 8, 12, 16]
    for p in (0.8, 1.0, 1.3):
        times = [5 + 0.3 * size**p for size in sizes]
        assert scaling._fit_beyond(sizes, times) == pytest.approx(p, abs=0.002)


def test_streams_in_one_batch_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    one, many = printed(capsys, "streams", "--streams", "1,8", "--frames", "10")
    assert (one["streams"], many["streams"]) == (1, 8)
    assert min(one["capacity"], many["capacity"]) > 0


def test_an_unknown_contender_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed", "--only", "lyra"]) == 2
    assert "lyra" in capsys.readouterr().err


def test_codes_are_compared_in_every_way(capsys: pytest.CaptureFixture[str], make_speech: MakeSpeech) -> None:
    *ways, cost = printed(capsys, "codes", str(make_speech("a.wav")), str(make_speech("b.flac")))
    assert [way["way"] for way in ways if way["different"]] == []
    assert {"torch", "onnx, streamed by frames", "numba, streamed by frames"} <= {way["way"] for way in ways}
    assert len({way["frames"] for way in ways}) == 1
    assert [way["rechecked"] is None for way in ways[:4]] == [True, True, True, False]
    assert ways[3]["rechecked"] < 0.1 * ways[3]["frames"]
    assert cost["recheck"]["with_recheck"] > 0
