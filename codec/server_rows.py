"""What one stream of a server is between its chunks and the batch: what waits, and where it stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from codec.audio import check_audio
from codec.codec import Codec
from codec.engine import Decoding, RowDecoding, RowEncoding
from codec.errors import AudioError, ConfigError
from codec.resampling import Resampler
from codec.tokens import Codes


class StreamRow(ABC):
    """One stream. Rows of the same group may be computed together.

    closed: nothing more comes.
    """

    group: object
    closed: bool = False

    def __init__(self, step: int, waiting: np.ndarray) -> None:
        self._step, self._waiting = step, waiting  # what one frame is on the last axis of what waits
        self._state: Any = None
        self._paused = False

    @property
    def frames(self) -> int:
        """Frames that can be computed now."""
        return self._waiting.shape[-1] // self._step

    @abstractmethod
    def pieces(self, chunk: np.ndarray, frames: int) -> Iterator[np.ndarray]:
        """A user's chunk, checked, in pieces of at most so many frames; may be called while others step."""

    def take(self, piece: np.ndarray) -> None:
        """Adds a piece to what waits."""
        self._waiting = np.concatenate([self._waiting, piece], axis=-1)

    def close(self) -> None:
        """Nothing more comes: what waits becomes whole frames."""
        self.closed = True

    def pause(self) -> None:
        """Lets go of the memory of the batch that it was last in."""
        if self._state is not None and not self._paused:
            self._state, self._paused = self._state.alone(), True

    @staticmethod
    @abstractmethod
    def step(rows: Sequence[Any], frames: int) -> list[np.ndarray]:
        """The results of the next frames of rows of one group; nothing has changed if it fails."""

    @abstractmethod
    def rest(self) -> np.ndarray:
        """What comes after the last frame."""

    def _block(self, frames: int) -> np.ndarray:
        return self._waiting[..., : frames * self._step]

    def _advance(self, frames: int, state: Any) -> None:
        self._waiting, self._state = self._waiting[..., frames * self._step :], state
        self._paused = False


class EncoderRow(StreamRow):
    """Audio of one channel waits, float32 `[samples]` at the model's rate; codes come out."""

    def __init__(
        self, model: Codec, encoder: RowEncoding, sizes: tuple[int, ...], sample_rate: int, price: float
    ) -> None:
        super().__init__(model.hop_length, np.zeros(0, np.float32))
        self.group = ("encode", sizes, price)
        self._encoder, self._delay, self._codebooks = encoder, model.delay, len(sizes)
        self._resampler = Resampler(sample_rate, model.sample_rate, 1)
        self._taken = self._done = 0

    def pieces(self, chunk: np.ndarray, frames: int) -> Iterator[np.ndarray]:
        x = check_audio(chunk)
        if len(x) != 1:
            raise AudioError(f"A stream of a server has one channel, but the chunk has {len(x)}.")
        y = self._resampler.push(x)[0]
        return (y[first : first + frames * self._step] for first in range(0, len(y), frames * self._step))

    def take(self, piece: np.ndarray) -> None:
        super().take(piece)
        self._taken += len(piece)

    def close(self) -> None:
        super().close()
        self.take(self._resampler.flush()[0])
        frames = -(-(self._taken + self._delay) // self._step) if self._taken else 0
        missing = (frames - self._done) * self._step - len(self._waiting)
        self._waiting = np.pad(self._waiting, (0, missing))

    @staticmethod
    def step(rows: Sequence[EncoderRow], frames: int) -> list[np.ndarray]:
        audio = np.stack([row._block(frames) for row in rows])
        codes, states = rows[0]._encoder.step(audio, [row._state for row in rows])
        for row, state in zip(rows, states, strict=True):
            row._advance(frames, state)
            row._done += frames
        return list(codes)

    def rest(self) -> np.ndarray:
        return np.zeros((self._codebooks, 0), np.uint16)


class DecoderRow(StreamRow):
    """Latents wait, float32 `[latent_dim, latent frames]`; audio comes out."""

    def __init__(
        self, model: Codec, decoding: Decoding, decoder: RowDecoding, sizes: tuple[int, ...], sample_rate: int
    ) -> None:
        first = decoding.latents(np.zeros((1, 1, 1), np.uint16))[0]
        super().__init__(first.shape[1], first[:, :0])
        self.group = "decode"
        self._model, self._decoding, self._decoder, self._sizes = model, decoding, decoder, sizes
        self._late = model.delay
        self._resampler = Resampler(model.sample_rate, sample_rate, 1)

    def pieces(self, chunk: Codes, frames: int) -> Iterator[np.ndarray]:
        if not isinstance(chunk, np.ndarray) or chunk.ndim != 2:
            raise ConfigError("A stream of a server takes codes as a uint16 array [codebooks, frames].")
        self._model.check_codes(self._sizes, chunk[None])
        return (
            self._decoding.latents(chunk[None, :, first : first + frames])[0]
            for first in range(0, chunk.shape[1], frames)
        )

    @staticmethod
    def step(rows: Sequence[DecoderRow], frames: int) -> list[np.ndarray]:
        latents = np.stack([row._block(frames) for row in rows])
        audio, states = rows[0]._decoder.step(latents, [row._state for row in rows])
        made = []
        for row, state, x in zip(rows, states, audio, strict=True):
            row._advance(frames, state)
            late = min(row._late, len(x))
            row._late -= late
            made.append(row._resampler.push(x[None, late:])[0])
        return made

    def rest(self) -> np.ndarray:
        return self._resampler.flush()[0]
