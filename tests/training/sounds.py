"""Speech and what is worse than it: what tests of the losses of hearing share."""

from __future__ import annotations

import numpy as np

from codec.audio import read_audio, resample
from tests.conftest import SAMPLES


def speech_at(rate: int) -> np.ndarray:
    """A synthetic voice, float32 `[samples]` at `rate` Hz."""
    audio, own = read_audio(SAMPLES / "voice_a.flac")
    return resample(audio[:1], own, rate)[0]


def noisy(speech: np.ndarray, level_db: float) -> np.ndarray:
    """The same with white noise of this level, relative to full scale."""
    noise = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    return speech + noise * np.float32(10 ** (level_db / 20))
