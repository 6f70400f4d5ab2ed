"""`codec train` and `codec bench train`: help, mistakes, signals, and going on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.training.runs import rows, steps_in, train, twin

PROGRAM = [sys.executable, "-c", "import sys; from codec.cli import main; sys.exit(main())"]


def test_help_names_the_options_that_matter(run: Run) -> None:
    result = run("train", "--help")
    assert result.code == 0
    for option in ("--data.root", "--trainer.max_steps", "--ckpt_path last", "--print_config", "--help-all"):
        assert option in result.out
    assert len(result.out.splitlines()) < 35


def test_all_keys_are_shown_on_demand(run: Run) -> None:
    result = run("train", "--help-all")
    assert result.code == 0
    for key in ("--model.optimizer.rate", "--trainer.num_nodes", "--checkpoint.every_steps"):
        assert key in result.out


def test_options_reach_lightning(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed_everything: 3\n")
    result = run("train", recipe, "--trainer.max_steps", "7", "--print_config")
    assert result.code == 0
    assert "seed_everything: 3" in result.out
    assert "max_steps: 7" in result.out


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--trainer.max_stepz=7", "'trainer.max_steps'"),
        ("--data.rot=x", "'root'"),
        ("--ckpt_pth=x", "'ckpt_path'"),
        ("--model.codec.hop_lenght=3", "'hop_length'"),
    ],
)
def test_a_wrong_option_names_the_right_one(run: Run, option: str, meant: str) -> None:
    result = run("train", twin("speech_16k")[0], option)
    assert result.code == 2
    assert result.complaint.endswith(f"did you mean {meant}?")


def test_a_missing_recipe_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    assert run("train").code == 2
    for command in (("train",), ("bench", "train")):
        result = run(*command, tmp_path / "none.yaml")
        assert result.code == 2
        assert "no recipe at" in result.complaint


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_stopped_run_goes_on_from_its_checkpoint(number: int, code: int, tmp_path: Path) -> None:
    """Asked to stop, it saves and loses nothing; killed, it loses the steps since the last save at most."""
    folder = tmp_path / "run"
    arguments = [*twin("speech_16k"), f"--trainer.default_root_dir={folder}", "--trainer.max_steps=100000"]
    process = subprocess.Popen([*PROGRAM, "train", *arguments], stderr=subprocess.PIPE, text=True)
    checkpoint = folder / "version_0" / "checkpoints" / "last.ckpt"
    try:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        _, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, complaint
    steps = steps_in(checkpoint)
    if number != signal.SIGKILL:
        assert f"stopped at step {steps} by {signal.Signals(number).name}" in complaint
        assert f"--ckpt_path {checkpoint}" in complaint
    resumed = train(folder, twin("speech_16k"), "--ckpt_path=last", f"--trainer.max_steps={steps + 3}")
    assert sorted(rows(resumed, "loss/mel")) == [steps, steps + 1, steps + 2]


def test_the_bench_prints_speed_waiting_and_memory(run: Run) -> None:
    result = run("bench", "train", *twin("speech_16k"), "--steps", "4")
    assert result.code == 0
    first, speed, waiting, memory = result.out.splitlines()
    assert first == "4 steps on cpu"
    assert float(speed.removesuffix(" steps/s")) > 0.5
    assert 0 <= float(waiting.partition("%")[0]) < 100
    assert 50 < float(memory.partition(" MiB")[0]) < 20_000


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = """
import sys
from codec.cli import main
sys.modules["lightning"] = sys.modules["pesq"] = None
sys.exit(10 * main(["train", sys.argv[1]]) + main(["eval", sys.argv[1]]))
"""
    recipe = tmp_path / "recipe.yaml"
    recipe.touch()
    done = subprocess.run(
        [sys.executable, "-c", program, recipe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 11
    training, measuring = done.stderr.splitlines()
    assert 'pip install "codec[train]"' in training
    assert 'pip install "codec[eval]"' in measuring
