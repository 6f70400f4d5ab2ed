"""What all tests share: one thread, one shipped model, and speech to encode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import codec
from codec.audio import read_audio, resample

torch.set_num_threads(1)

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(scope="session")
def model() -> codec.Codec:
    """The shipped default model."""
    return codec.load()


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """About 11 seconds of speech at 16 kHz, float32 [samples]."""
    voices = [read_audio(SAMPLES / f"voice_{name}.flac") for name in "ab"]
    return np.concatenate([resample(x, rate, 16000)[0] for x, rate in voices])
