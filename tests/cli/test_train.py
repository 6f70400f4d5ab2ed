"""`codec train` hands everything to the Lightning CLI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Run


def test_options_reach_lightning(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed_everything: 3\n")
    result = run("train", recipe, "--trainer.max_steps", "7", "--print_config")
    assert result.code == 0
    assert "seed_everything: 3" in result.out
    assert "max_steps: 7" in result.out


def test_a_wrong_option_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed_everything: 3\n")
    result = run("train", recipe, "--trainer.max_stepz", "7")
    assert result.code == 2
    assert "max_stepz" in result.err


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
