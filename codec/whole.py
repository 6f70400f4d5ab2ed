"""Models that need a whole recording at once: their convolutions look both ways, or they cut it up.

The interface is that of `Codec`, but for streams. Memory grows with a recording's length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from codec.audio import check_audio
from codec.codec import Codec, require_length
from codec.engine import WholeEngine
from codec.errors import AudioError, ConfigError, ModelError
from codec.resampling import output_length, resample
from codec.segments import SAMPLES, SCALES, Levels
from codec.tokens import Tokens

# In the metadata of tokens: of a recording that has fewer channels than the model.
_CHANNELS = "recording.channels"


class WholeCodec(Codec):
    """A loaded model that encodes and decodes whole recordings only."""

    streams = False

    def __init__(self, engine: WholeEngine) -> None:
        super().__init__(engine)
        self._whole = engine

    @property
    def latency(self) -> float:
        """Without bound: the first frame of codes may depend on the last sample."""
        return math.inf

    def encode(
        self,
        audio: np.ndarray,
        sample_rate: int,
        *,
        kbps: float | None = None,
        codebooks: int | None = None,
        vbr: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Tokens:
        """Tokens of a recording, as `Codec.encode`.

        A stereo model makes one row of codes of two channels, and takes a mono recording for two equal ones,
        which it decodes to their mean.

        Raises:
            AudioError: audio that is not finite, has too many channels, or more than the model's two.
            ConfigError: a rate that the model lacks, or metadata with a name that the model needs itself.
        """
        # It has no variable bitrates: its engine knows of no prices.
        x, (sizes, _) = check_audio(audio), self.choice_for(kbps, codebooks, vbr)
        taken = {SAMPLES, SCALES, _CHANNELS} & set(metadata or {})
        if taken:
            raise ConfigError(
                f"Metadata cannot have the name {sorted(taken)[0]!r}: tokens use it themselves."
            )
        n_samples = x.shape[1]
        if sample_rate != self.sample_rate:
            x = resample(x, sample_rate, self.sample_rate)
        codes, levels = self._whole.encode(self._rows(x), sizes)
        own = {} if levels is None else levels.metadata()
        if len(x) < self.channels:
            own[_CHANNELS] = str(len(x))
        return self._tokens(codes, sizes, sample_rate, n_samples, {**(metadata or {}), **own})

    def encode_at(self, audio: np.ndarray, sample_rate: int, price: float) -> Tokens:
        """As `encode` with all codebooks; raises ConfigError for a price, which these models do not know."""
        if price > 0:
            raise ConfigError(f"{self.name} has no variable bitrates: choose kbps or codebooks.")
        return self.encode(audio, sample_rate)

    def encode_batch(
        self,
        recordings: Sequence[np.ndarray],
        sample_rate: int,
        *,
        kbps: float | None = None,
        codebooks: int | None = None,
        vbr: float | None = None,
    ) -> list[Tokens]:
        """Tokens of several recordings, one after the other, as `Codec.encode_batch`."""
        return [self.encode(x, sample_rate, kbps=kbps, codebooks=codebooks, vbr=vbr) for x in recordings]

    def decode(self, tokens: Tokens) -> np.ndarray:
        """Audio float32 `[channels, samples]` at `tokens.sample_rate`, as `Codec.decode`."""
        self.check_tokens(tokens.model, tokens.weights_hash, tokens.codebook_sizes, tokens.frame_rate)
        self.check_codes(tokens.codebook_sizes, tokens.codes)
        levels = Levels.of(tokens.metadata, tokens.channels) if self._whole.is_segmented else None
        audio = self._whole.decode(tokens.codes, levels)
        if tokens.metadata.get(_CHANNELS) == "1":
            audio = audio.mean(1, keepdims=True)
        audio = audio.reshape(len(audio) * audio.shape[1], audio.shape[2])
        if tokens.n_samples is not None:
            # What follows the recording's end would otherwise ring into it.
            wanted = tokens.skip + tokens.n_samples
            audio = audio[:, : output_length(wanted, tokens.sample_rate, self.sample_rate)]
        if tokens.sample_rate != self.sample_rate:
            audio = resample(audio, self.sample_rate, tokens.sample_rate)
        audio = audio[:, tokens.skip :][:, : tokens.n_samples]
        require_length(tokens, audio)
        return audio

    def stream_encoder(
        self,
        *,
        sample_rate: int | None = None,
        channels: int = 1,
        kbps: float | None = None,
        codebooks: int | None = None,
        vbr: float | None = None,
    ) -> NoReturn:
        """Raises ModelError: this model does not stream."""
        self._refuse()

    def stream_decoder(
        self,
        *,
        sample_rate: int | None = None,
        channels: int = 1,
        skip: int = 0,
        n_samples: int | None = None,
        codebook_sizes: Sequence[int] | None = None,
    ) -> NoReturn:
        """Raises ModelError: this model does not stream."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ModelError(
            f"{self.name} cannot stream, for its codes depend on audio that comes later: use encode and "
            "decode on whole recordings, or a causal model."
        )

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """Audio `[channels, samples]` as `[rows, channels of a row, samples]`."""
        if self.channels == 1:
            return x[:, None]
        if len(x) == 1:
            x = np.repeat(x, self.channels, axis=0)
        if len(x) != self.channels:
            raise AudioError(
                f"{self.name} encodes recordings of {self.channels} channels (or 1), not of {len(x)}."
            )
        return x[None]
