"""Commands that only look: `info`, `models`, `--version`, help; they are quick because PyTorch stays out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import codec
from tests.cli.conftest import MakeSpeech, Run


@pytest.fixture
def token_file(run: Run, make_speech: MakeSpeech) -> Path:
    path = make_speech("a.wav", 2.0, rate=48000, channels=2)
    run("encode", path, "--kbps", "6", "--metadata", "title=Tea time")
    return path.with_suffix(".cdc")


def test_info_tells_what_the_file_holds(run: Run, token_file: Path, model: codec.Codec) -> None:
    (facts,) = run("info", token_file, "--json").json
    assert facts["format_version"] == 1
    assert (facts["model"], facts["weights_hash"]) == (model.name, model.weights_hash)
    assert facts["latency_ms"] == pytest.approx(1000 * model.latency)
    assert (facts["sample_rate"], facts["channels"], facts["samples"]) == (48000, 2, 96000)
    assert (facts["seconds"], facts["frame_rate"], facts["codebooks"]) == (2.0, 50, 12)
    assert (facts["kbps"], facts["kbps_all_channels"]) == (6, 12)
    assert facts["bytes"] == token_file.stat().st_size
    assert facts["kbps_of_file"] == pytest.approx(8 * facts["bytes"] / 2000)
    assert facts["frames"] == codec.read(token_file).frames
    assert (facts["pages"], facts["finished"]) == (1, True)
    assert facts["metadata"] == {"title": "Tea time"}
    text = run("info", token_file).out
    assert text.startswith(str(token_file))
    for shown in ("48,000 Hz", "2.000 s, 96,000 samples", "12 kbps in all", model.weights_hash, "Tea time"):
        assert shown in text


def test_info_goes_on_after_a_damaged_file(run: Run, token_file: Path) -> None:
    cut = token_file.with_name("cut.cdc")
    cut.write_bytes(token_file.read_bytes()[:-20])
    result = run("info", cut, token_file, "--json")
    assert result.code == 1
    assert "cut off" in result.complaint
    assert ["error" in facts for facts in result.json] == [True, False]


def test_two_files_in_one_are_noticed(run: Run, token_file: Path, tmp_path: Path) -> None:
    double = tmp_path / "double.cdc"
    double.write_bytes(token_file.read_bytes() * 2)
    for arguments in (("info", double), ("decode", double, "-o", tmp_path / "x.wav")):
        result = run(*arguments)
        assert result.code == 1
        assert "goes on after its end" in result.complaint
    assert not (tmp_path / "x.wav").exists()


def test_models_lists_what_is_shipped(run: Run, model: codec.Codec) -> None:
    default = run("models", "--json").json[0]
    assert (default["name"], default["default"]) == (model.name, True)
    assert default["sample_rate"] == model.sample_rate
    assert default["frame_rate"] == float(model.frame_rate)
    assert default["kbps"] == pytest.approx([model.info()["kbps"][0], model.info()["kbps"][-1]])
    assert default["latency_ms"] == pytest.approx(model.info()["latency_ms"])
    assert f"{model.name} (default)" in run("models").out


def test_version_and_help(run: Run) -> None:
    assert run("--version").out == f"codec {codec.__version__}\n"
    commands = run("--help").out
    for command in ("encode", "decode", "info", "trim", "models", "eval", "train"):
        assert f"  {command} " in commands
        result = run(command, "--help")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith(f"Usage: codec {command} ")


def test_looking_does_not_import_what_computing_needs(token_file: Path, tmp_path: Path) -> None:
    program = """
import json, sys
from codec.cli import main
code = main(sys.argv[1:])
heavy = [name for name in ("torch", "soundfile", "soxr", "rich", "lightning") if name in sys.modules]
print(json.dumps([code, heavy]), file=sys.stderr)
"""
    for arguments in (
        ["info", token_file],
        ["trim", token_file, "--kbps", "1", "-o", tmp_path / "b.cdc"],
        ["models"],
        ["--help"],
        ["--version"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stderr) == [0, []], arguments
