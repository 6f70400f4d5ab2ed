"""What computes for a codec: the contract between its bookkeeping, in numpy, and what runs its network.

There are two engines, `codec.torch_engine` and `codec.runtime` (ONNX). All that they have in common, such as
streams, blocks, resampling, rates and tokens, is written once, above this line, and imports neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from codec.segments import Levels
from codec.tokens import Codes
from codec.variable import Price


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without running it.

    weights_hash: 16 hex digits that tokens carry, so that no other weights decode them.
    sample_rate: in Hz. hop_length: samples per frame of codes.
    codebook_sizes: entries of every codebook, the coarsest first.
    smaller: sizes, rising, that each codebook can have besides its own where it is the last one.
    prices: for variable bitrates, by rising bitrate.
    delay: samples that decoding lags. parameters: weights that training has set.
    lead: frames that the first step of a stream needs, if it is not the only one.
    fills: whether a stream's last frame is filled up with silence; if not, its last step takes a part of one.
    channels: of the audio that one row of codes stands for.
    """

    name: str
    weights_hash: str
    sample_rate: int
    hop_length: int
    codebook_sizes: tuple[int, ...]
    smaller: tuple[tuple[int, ...], ...]
    delay: int
    parameters: int
    lead: int = 1
    fills: bool = True
    channels: int = 1
    prices: tuple[Price, ...] = ()

    @property
    def frame_rate(self) -> Fraction:
        """Frames of codes per second."""
        return Fraction(self.sample_rate, self.hop_length)


class EncodingState(Protocol):
    """Where a stream that is encoded stands; what else it holds is the engine's.

    frames: so far. rechecked: how many of them (summed over the batch) were decided in float64.
    """

    @property
    def frames(self) -> int: ...
    @property
    def rechecked(self) -> int: ...


class Encoding(Protocol):
    """From audio to the codes of certain codebooks; states are values, None at the start of a stream."""

    def step(
        self, audio: np.ndarray, state: Any = None, valid: Sequence[int] | None = None
    ) -> tuple[Codes, EncodingState]:
        """Codes uint16 `[batch, codebooks, frames]` of audio float32 `[batch, frames * hop_length]`.

        A model that fills up its last frame by itself takes any number of samples at the end.

        valid: frames of each row that matter, where a batch is padded; all if not given.
        """
        ...


class Decoding(Protocol):
    """From the codes of certain codebooks to audio; states are values, None at the start of a stream."""

    def latents(self, codes: Codes) -> np.ndarray:
        """Latents float32 `[batch, latent_dim, steps]` of codes uint16 `[batch, codebooks, frames]`."""
        ...

    def step(self, latents: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
        """Audio float32 `[batch, samples]` of latents, and the state after them."""
        ...


class RowEncoding(Protocol):
    """From the audio of many streams to their codes; states are values, None at the start of a stream."""

    def step(self, audio: np.ndarray, states: Sequence[Any]) -> tuple[Codes, Sequence[Any]]:
        """Codes uint16 `[rows, codebooks, frames]` of audio float32 `[rows, frames * hop_length]`.

        Each row is a stream of its own, at a place of its own, and has the codes that it would have alone.
        Each state has a method `alone`, which gives the same without the memory of the other rows.
        """
        ...


class RowDecoding(Protocol):
    """From the latents of many streams to their audio; states as for `RowEncoding`."""

    def step(self, latents: np.ndarray, states: Sequence[Any]) -> tuple[np.ndarray, Sequence[Any]]:
        """Audio float32 `[rows, samples]` of latents `[rows, latent_dim, frames]`."""
        ...


class Engine(Protocol):
    """A network, ready to run."""

    @property
    def facts(self) -> ModelFacts: ...

    def encoding(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> Encoding:
        """Encodes with codebooks of these sizes, one of the model's choices.

        price: what a code must gain, in squared distance, not to be skipped (`codec.quantize.prices`).
        """
        ...

    def decoding(self, codebook_sizes: tuple[int, ...]) -> Decoding:
        """Decodes codes of codebooks of these sizes, or of the first of them."""
        ...

    def row_encoder(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> RowEncoding:
        """Encodes many streams at once, with codebooks of these sizes; price: as of `encoding`."""
        ...

    def row_decoder(self) -> RowDecoding:
        """Decodes the latents of many streams at once."""
        ...


class WholeEngine(Engine, Protocol):
    """A network that needs all of a recording at once (`codec.whole`)."""

    @property
    def is_segmented(self) -> bool:
        """Whether decoding needs levels besides the codes."""
        ...

    def encode(self, audio: np.ndarray, codebook_sizes: tuple[int, ...]) -> tuple[Codes, Levels | None]:
        """Codes uint16 `[rows, codebooks, frames]` of audio float32 `[rows, channels, samples]`.

        Together with what decoding needs besides them, where the model cuts recordings into segments.
        """
        ...

    def decode(self, codes: Codes, levels: Levels | None) -> np.ndarray:
        """Audio float32 `[rows, channels, samples]`, samples at the model's rate, of whole recordings."""
        ...
