"""The command line inside this process, and recordings to give to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec.audio import AudioWriter
from codec.cli import main


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        return line


Run = Callable[..., Result]
MakeSpeech = Callable[..., Path]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `codec` with arguments in this process."""

    def call(*arguments: str | Path) -> Result:
        code = main([str(argument) for argument in arguments])
        sys.stderr.flush()
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def make_speech(speech: np.ndarray, tmp_path: Path) -> MakeSpeech:
    """Writes a piece of speech under a name; the suffix chooses the format."""

    def make(
        name: str, seconds: float = 1.0, rate: int = 16000, channels: int = 1, subtype: str | None = None
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        n = round(seconds * rate)
        x = np.stack([speech[1000 * c : 1000 * c + n] for c in range(channels)])
        with AudioWriter(path, rate, channels, subtype) as writer:
            writer.write(x)
        return path

    return make
