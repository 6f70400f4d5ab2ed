"""`--vbr`: variable bitrates at the command line, of the shipped model and of one that gets its prices."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

import codec
from codec.models import store
from tests.cli.conftest import MakeSpeech, Run
from tests.networks import BANDS, small_network


def test_a_file_takes_about_what_was_asked_for(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    audio, sizes = make_speech("a.wav", 3.0), []
    for kbps in (1.5, 3.0, 6.0):
        file = tmp_path / f"{kbps}.cdc"
        (facts,) = run("encode", audio, "-o", file, "--vbr", str(kbps), "--json").json
        assert facts["vbr"] == kbps
        assert file.stat().st_size == facts["bytes"]
        sizes.append(8 * facts["bytes"] / facts["seconds"] / 1000)
        # A loud voice without pauses takes more than speech does on average.
        assert kbps / 2 < sizes[-1] < 2 * kbps
        assert run("decode", file, "-o", tmp_path / f"{kbps}.wav").code == 0
    assert sizes == sorted(sizes)
    told = run("encode", audio, "-o", tmp_path / "b.cdc", "--vbr", "3")
    assert f"at {sizes[1]:.2f} kbps" in told.out


def test_silence_takes_next_to_nothing(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    """At most one code in a frame; the rest are headers, and the least that a layer can have."""
    rates = []
    for option in ("--kbps", "--vbr"):
        file = tmp_path / "a.cdc"
        (facts,) = run("encode", "samples/silence.wav", "-o", file, option, "6", "--json", "-f").json
        rates.append(8 * facts["bytes"] / facts["seconds"] / 1000)
    assert rates[1] < 0.8 * rates[0] < 0.8
    assert (codec.read(file).codes != 0).sum(1).max() <= 1


@pytest.mark.parametrize(
    "options",
    [("--vbr", "3", "--kbps", "3"), ("--vbr", "3", "--codebooks", "3"), ("--vbr", "900"), ("--vbr", "x")],
)
def test_a_rate_that_cannot_be_is_a_usage_error(
    run: Run, make_speech: MakeSpeech, tmp_path: Path, options: tuple[str, ...]
) -> None:
    result = run("encode", make_speech("a.wav"), "-o", tmp_path / "a.cdc", *options)
    assert result.code == 2
    assert "--vbr" in result.err


def test_the_list_of_models_says_which_there_are(run: Run) -> None:
    assert "variable ones from" in run("models").out
    low, high = run("models", "--json").json[0]["vbr"]
    assert low < 1 < 6 < high


def test_an_evaluation_has_rows_of_variable_bitrates(
    run: Run, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    found = run("eval", make_speech("a.wav", 2.0), "--kbps", "3", "--vbr", "1.5,3", "--jobs", "1")
    assert found.code == 0, found.err
    lines = [line.split() for line in found.out.splitlines()[2:5]]
    assert [line[:2] for line in lines] == [["speech-16k", "3"], ["speech-16k", "vbr"], ["speech-16k", "vbr"]]
    assert [line[2] for line in lines[1:]] == ["1.5", "3"]
    refused = run("eval", make_speech("a.wav"), "--vbr", "99", "--jobs", "1")
    assert refused.code != 0
    assert "99 kbps is not available as a variable bitrate" in refused.err


def test_a_model_gets_its_prices_from_tables_and_recordings(run: Run, tmp_path: Path) -> None:
    weights, folder = tmp_path / "small.safetensors", tmp_path / "bursts"
    folder.mkdir()
    # Noise that comes and goes: what the small model's codebooks are made for.
    loud = np.sin(np.arange(5 * 8000) / 2000) ** 2
    for seed in range(24):
        noise = 0.3 * np.random.default_rng(seed).standard_normal(len(loud))
        soundfile.write(folder / f"{seed}.wav", noise * loud, 8000)
    audio = folder / "0.wav"
    store.save(small_network(BANDS), weights)
    early = run("quantizers", "rates", weights, audio)
    assert early.code == 0
    assert "codec entropy learn" in early.err
    refused = run("encode", audio, "-o", tmp_path / "a.cdc", "--model", weights, "--vbr", "2")
    assert refused.code == 2
    assert "no variable bitrates" in refused.err
    assert run("entropy", "learn", weights, folder, "--steps", "150").code == 0
    made = run("quantizers", "rates", weights, folder, "--priced", "20", "--force")
    assert made.code == 0, made.err
    rates = [float(line.split()[1]) for line in made.out.splitlines() if "variable," in line]
    assert len(rates) >= 3
    assert all(a <= b for a, b in pairwise(rates))
    assert rates[0] < 0.8 * rates[-1]
    middle = f"{(rates[0] * rates[-1]) ** 0.5:.3f}"
    (facts,) = run(
        "encode", audio, "-o", tmp_path / "a.cdc", "--model", weights, "--vbr", middle, "--json"
    ).json
    assert 8 * facts["bytes"] / facts["seconds"] / 1000 == pytest.approx(float(middle), rel=0.35)
