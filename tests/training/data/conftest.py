"""Small corpora of noise, in the formats and rates that corpora come in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

MakeAudio = Callable[..., Path]


@pytest.fixture
def make_audio() -> MakeAudio:
    """Writes noise of some seconds; the suffix chooses the format."""

    def make(path: Path, seconds: float = 1.0, rate: int = 16000, channels: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(len(str(path)) + round(1000 * seconds))
        soundfile.write(path, 0.2 * random.standard_normal((round(seconds * rate), channels)), rate)
        return path

    return make


@pytest.fixture
def folder(tmp_path: Path, make_audio: MakeAudio) -> Path:
    """Two speakers of two groups; of one only clips shorter than a segment."""
    make_audio(tmp_path / "long/a/0.wav", 3.0)
    make_audio(tmp_path / "long/a/1.flac", 2.0, 44100, 2)
    make_audio(tmp_path / "short/b/0.wav", 0.2)
    make_audio(tmp_path / "short/b/1.ogg", 0.15)
    make_audio(tmp_path / "short/b/2.wav", 0.001, 8000)
    return tmp_path


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, from warnings up."""
    caplog.set_level(logging.WARNING)
    return caplog
