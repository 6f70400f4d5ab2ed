"""Sample rate conversion, as a stream: the offline call is the same stream fed with one chunk."""

from __future__ import annotations

import numpy as np
import soxr  # type: ignore[import-untyped]

from codec.errors import AudioError

MIN_RATE = 1
MAX_RATE = 768_000


def output_length(n: int, from_rate: int, to_rate: int) -> int:
    """Samples that `n` samples at `from_rate` (Hz) become at `to_rate`: ceil(n * to_rate / from_rate)."""
    return -(-n * to_rate // from_rate)


def resample(x: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Convert float32 `[channels, samples]` from one rate to another (Hz).

    Returns float32 `[channels, output_length(samples, from_rate, to_rate)]`; raises AudioError for an
    impossible rate.
    """
    stream = Resampler(from_rate, to_rate, x.shape[0])
    return np.concatenate([stream.push(x), stream.flush()], axis=1)


class Resampler:
    """A band-limited converter between two rates that takes chunks of any length.

    Output sample `k` is the signal at time `k / to_rate`; `n` samples in give
    `output_length(n, from_rate, to_rate)` out. The chunking changes not a single bit of the output, since
    soxr's stream computes in blocks of its own. Memory is constant in the length. Equal rates pass through.

    Raises AudioError for a rate below 1 Hz or above 768 kHz.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        for rate in (from_rate, to_rate):
            if not MIN_RATE <= rate <= MAX_RATE or rate != int(rate):
                raise AudioError(
                    f"A sample rate of {rate} Hz is not possible: "
                    f"use a whole number from {MIN_RATE} to {MAX_RATE} Hz."
                )
        self.from_rate = int(from_rate)
        self.to_rate = int(to_rate)
        self.channels = channels
        self._n_in = 0
        self._n_out = 0
        self._finished = False
        self._stream: soxr.ResampleStream | None = None
        if self.from_rate != self.to_rate:
            # "HQ" keeps 20 bits, more than 16-bit recordings have, with less delay than "VHQ".
            self._stream = soxr.ResampleStream(
                self.from_rate, self.to_rate, channels, dtype="float32", quality="HQ"
            )

    def push(self, x: np.ndarray) -> np.ndarray:
        """Take float32 `[channels, n]`, return what it completes, float32 `[channels, m]`; n, m >= 0."""
        self._require_open()
        if x.ndim != 2 or x.shape[0] != self.channels:
            raise AudioError(
                f"A resampler for {self.channels} channel(s) got an array of shape {x.shape}: "
                f"push [channels, samples]."
            )
        x = np.asarray(x, dtype=np.float32)
        self._n_in += x.shape[1]
        if self._stream is None or x.shape[1] == 0:
            # A copy, so that a caller who reuses his buffer does not change what we returned.
            return self._emit(x.copy())
        return self._emit(self._stream.resample_chunk(np.ascontiguousarray(x.T)).T)

    def flush(self) -> np.ndarray:
        """End the stream and return the rest, float32 `[channels, m]`, so that the total length is exact."""
        self._require_open()
        self._finished = True
        missing = output_length(self._n_in, self.from_rate, self.to_rate) - self._n_out
        if self._stream is None or missing == 0:
            return np.zeros((self.channels, 0), dtype=np.float32)
        # soxr rounds the total down or up; silence for two more outputs makes it reach the last one we want.
        silence = output_length(2, self.to_rate, self.from_rate)
        rest = self._stream.resample_chunk(np.zeros((silence, self.channels), dtype=np.float32), last=True).T
        short = missing - rest.shape[1]
        if short > 0:
            rest = np.concatenate([rest, np.zeros((self.channels, short), dtype=np.float32)], axis=1)
        return self._emit(rest)

    def _emit(self, y: np.ndarray) -> np.ndarray:
        limit = output_length(self._n_in, self.from_rate, self.to_rate) - self._n_out
        y = np.ascontiguousarray(y[:, :limit])
        self._n_out += y.shape[1]
        return y

    def _require_open(self) -> None:
        if self._finished:
            raise AudioError("This resampler was flushed: make a new one for the next recording.")
