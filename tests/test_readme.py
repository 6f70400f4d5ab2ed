"""The README's Python example runs as it is written, and its shell lines name commands that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import codec

ROOT = Path(__file__).parents[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_python_example_runs_and_keeps_the_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), names)
    audio, decoded = names["audio"], names["decoded"]
    assert isinstance(audio, np.ndarray)
    assert isinstance(decoded, np.ndarray)
    assert decoded.shape == (1, len(audio))
    assert codec.read(tmp_path / "a.cdc") == names["tokens"]


def test_every_command_in_the_readme_exists():
    named = {word for block in blocks("sh") for word in re.findall(r"\bcodec ([a-z]+)", block)}
    assert named
    for command in sorted(named):
        line = [sys.executable, "-c", "from codec.cli import main; main()", command, "--help"]
        assert subprocess.run(line, capture_output=True, check=False).returncode == 0, command
