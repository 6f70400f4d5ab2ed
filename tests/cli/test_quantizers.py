"""`codec quantizers`: the list, smaller codebooks for a model, and the comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codec.models import rates, store
from tests.cli.conftest import MakeSpeech, Run
from tests.networks import SPECTRAL, small_network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    store.save(small_network(SPECTRAL), path)
    return path


def test_the_list_names_every_system(run: Run) -> None:
    found = run("quantizers")
    assert found.code == 0
    assert "qinco" in found.out
    assert "80 bits" in found.out
    assert len(found.out.splitlines()) >= 27


def test_a_model_gets_bitrates_in_between(
    run: Run, weights: Path, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    audio = make_speech("a.wav", 3.0)
    refused = run("encode", audio, "-o", tmp_path / "a.cdc", "--model", weights, "--kbps", "3.1", "--json")
    assert refused.json[0]["kbps"] == pytest.approx(2.4)
    made = run("quantizers", "rates", weights, audio, "--sizes", "8,16,32")
    assert made.code == 0, made.err
    assert weights.with_suffix(rates.SUFFIX).is_file()
    fine = run("encode", audio, "-o", tmp_path / "a.cdc", "--model", weights, "--kbps", "3.1", "--json", "-f")
    assert fine.json[0]["kbps"] == pytest.approx(3.0)
    info = run("info", tmp_path / "a.cdc", "--json")
    assert info.json[0]["kbps"] == pytest.approx(3.0)
    assert run("decode", tmp_path / "a.cdc", "-o", tmp_path / "a.wav", "--model", weights, "-f").code == 0
    assert run("trim", tmp_path / "a.cdc", "-o", tmp_path / "b.cdc", "--kbps", "2.5").code == 0
    again = run("quantizers", "rates", weights, audio)
    assert again.code == 1
    assert "--force" in again.complaint


def test_wrong_sizes_are_a_usage_error(run: Run, weights: Path, make_speech: MakeSpeech) -> None:
    assert run("quantizers", "rates", weights, make_speech("a.wav"), "--sizes", "1,x").code == 2


def test_the_shipped_model_encodes_at_2_3_kbps(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    found = run("encode", make_speech("a.wav"), "-o", tmp_path / "a.cdc", "--kbps", "2.3", "--json")
    assert found.json[0]["kbps"] == pytest.approx(2.3)
    assert run("models", "--json").json[0]["bitrates"] == 80


def test_systems_are_compared_and_the_comparison_goes_on(
    run: Run, weights: Path, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    audio = make_speech("a.wav", 11.0)
    file = tmp_path / "latents.safetensors"
    assert run("quantizers", "latents", weights, audio, "--test", audio, "-o", file).code == 0
    compare = (
        "quantizers",
        "compare",
        file,
        "--steps",
        "2",
        "--batch-frames",
        "64",
        "--start-frames",
        "1100",
    )
    kept = ("--journal", tmp_path / "kept.jsonl", "--plot", tmp_path / "plot.svg")
    audible = ("--model", weights, "--train", audio, "--valid", audio, "--tune-steps", "1")
    first = run(*compare, *kept, *audible, "--systems", "vq_kmeans")
    assert first.code == 0, first.err
    assert "vq_kmeans: -" in first.err
    both = run(*compare, *kept, *audible, "--systems", "vq_kmeans,cosine")
    assert "vq_kmeans:" not in both.err
    assert {line.split()[0] for line in both.out.splitlines()} == {"system", "vq_kmeans", "cosine"}
    (one, _) = [json.loads(line)["figures"] for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert set(one["audio"]) == {"pesq_wb", "stoi", "mel_distance"}
    assert (tmp_path / "plot.svg").is_file()
    assert run(*compare, "--systems", "none").code == 2


def test_a_model_is_checked_with_chance_and_caveats(
    run: Run, weights: Path, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    clips = [make_speech(f"{i}.wav", 3.0 + i) for i in range(4)]
    found = run("quantizers", "check", weights, *clips)
    assert found.code == 0, found.err
    assert "against a normal distribution: statistic" in found.out
    assert "by chance" in found.out
    assert "Information is not meaning" in found.out
    (one,) = run("quantizers", "check", weights, *clips, "--json").json
    assert [stage["stage"] for stage in one["stages"]] == [1, 2, 3, 4]
    assert one["stages"][0]["told"]["energy"]["bits"] > 0
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    refused = run("quantizers", "check", weights, tmp_path / "bad.wav")
    assert refused.code == 1
    assert "too few" in refused.err
