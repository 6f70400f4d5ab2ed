"""`codec export`, and which runtime `encode` and `decode` choose."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import codec
from codec.audio import read_audio
from codec.models import store
from tests.cli.conftest import MakeSpeech, Run
from tests.networks import SPECTRAL, small_network


def modules_of(*arguments: str | Path) -> set[str]:
    """Which of the two runtimes' packages a command has imported."""
    script = (
        "import sys; from codec.cli import main; assert main(sys.argv[1:]) == 0; "
        "print({'torch', 'onnxruntime'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name for name in ("torch", "onnxruntime") if name in out.splitlines()[-1]}


def test_export_makes_a_model_that_both_runtimes_load(run: Run, tmp_path: Path) -> None:
    weights = tmp_path / "made" / "small.safetensors"
    store.save(small_network(SPECTRAL), weights)
    result = run("export", weights, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    (facts,) = result.json
    assert facts["output"] == str(tmp_path / "out" / "small.safetensors")
    assert max(facts[key] for key in ("latents", "latents64", "audio", "states")) < 1e-5
    audio = 0.1 * np.random.default_rng(0).standard_normal(4000)
    first, second = (codec.load(tmp_path / "out", runtime=runtime) for runtime in ("torch", "onnx"))
    assert first.encode(audio, 8000) == second.encode(audio, 8000)
    assert "equal codes in 360 frames" in run("export", weights, "-o", tmp_path / "out").out


def test_export_of_nothing_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("export", "no-such-model", "-o", tmp_path)
    assert result.code == 1
    assert "no-such-model" in result.complaint


def test_both_runtimes_write_the_same_tokens_and_audio(run: Run, make_speech: MakeSpeech) -> None:
    path = make_speech("a.wav", 2.0)
    tokens = []
    for runtime in ("torch", "onnx", "auto"):
        assert run("encode", path, "--force", "--runtime", runtime).code == 0
        tokens.append(path.with_suffix(".cdc").read_bytes())
    assert tokens[0] == tokens[1] == tokens[2]
    heard = []
    for runtime in ("torch", "onnx"):
        assert run("decode", path.with_suffix(".cdc"), "-o", path, "-f", "--runtime", runtime).code == 0
        heard.append(read_audio(path)[0])
    assert np.abs(heard[0] - heard[1]).max() <= 1.01 / 32768  # a step of 16 bits


def test_onnx_is_chosen_where_there_are_graphs(make_speech: MakeSpeech, run: Run, tmp_path: Path) -> None:
    path = make_speech("a.wav", 0.5)
    assert run("encode", path).code == 0
    assert modules_of("decode", path.with_suffix(".cdc"), "-f", "-o", path) == {"onnxruntime"}
    weights = tmp_path / "small.safetensors"
    store.save(small_network(SPECTRAL), weights)
    assert "torch" in modules_of("encode", path, "-f", "--model", weights)


def test_graphs_of_other_weights_do_not_keep_anyone_from_the_model(
    run: Run, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    weights = tmp_path / "small.safetensors"
    store.save(small_network(SPECTRAL), weights)
    assert run("export", weights, "-o", tmp_path).code == 0
    manifest = tmp_path / "small.onnx.json"
    plain = json.loads(manifest.read_text())
    plain["facts"]["weights_hash"] = "0" * 16
    manifest.write_text(json.dumps(plain))
    path = make_speech("a.wav", 0.5)
    assert run("encode", path, "--model", weights).code == 0
    refused = run("encode", path, "-f", "--model", weights, "--runtime", "onnx")
    assert refused.code == 1
    assert "of other weights" in refused.complaint
