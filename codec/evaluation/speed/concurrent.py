"""How many real-time streams one core holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec.codec import Codec


@dataclass(frozen=True)
class Load:
    """Streams that each encode and decode one frame a period, all in one batch.

    median, p95, p99: milliseconds on the clock that all of them take for one frame. cpu: milliseconds of the
    processor, mean. period: milliseconds that a frame lasts: below it the streams are held in real time.
    """

    streams: int
    median: float
    p95: float
    p99: float
    cpu: float
    period: float

    @property
    def capacity(self) -> float:
        """Real-time streams that a core with nothing else to do holds at this batch, by processor time."""
        return self.streams * self.period / self.cpu


def load(model: Codec, audio: np.ndarray, streams: int, frames: int) -> Load:
    """The time of `frames` frames of `streams` streams, each at another place of audio `[samples]`."""
    encoder = model.engine.row_encoder(model.codebook_sizes)
    decoding, decoder = model.engine.decoding(model.codebook_sizes), model.engine.row_decoder()
    hop = model.hop_length
    shifts = np.random.default_rng(0).integers(0, len(audio), streams)
    rows = np.stack([np.resize(np.roll(audio, -shift), frames * hop) for shift in shifts])
    encoded: Sequence[Any] = [None] * streams
    decoded: Sequence[Any] = [None] * streams
    taken = np.zeros((frames, 2))
    for number in range(frames):
        cpu, begin = time.thread_time(), time.perf_counter()
        codes, encoded = encoder.step(rows[:, number * hop : (number + 1) * hop], encoded)
        _, decoded = decoder.step(decoding.latents(codes), decoded)
        taken[number] = time.perf_counter() - begin, time.thread_time() - cpu
    wall, processor = 1000 * taken[min(5, frames - 1) :].T
    return Load(
        streams,
        float(np.median(wall)),
        float(np.percentile(wall, 95)),
        float(np.percentile(wall, 99)),
        float(np.mean(processor)),
        1000 * hop / model.sample_rate,
    )
