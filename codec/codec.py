"""The codec: encoder + quantizer + decoder behind one small interface of numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from codec.audio import check_audio, resample
from codec.engine import EncodingState, Engine
from codec.errors import ConfigError, ModelError
from codec.streaming import StreamDecoder, StreamEncoder, StreamFormat
from codec.tokens import Codes, Tokens, ladder, rates, sizes_for
from codec.variable import price_for


class Codec:
    """A loaded model. It has no state between calls, so threads and streams may share it.

    streams: whether audio and codes can come in chunks; else (`codec.whole`) it needs whole recordings.

    Args:
        engine: what runs its network: PyTorch (`codec.torch_engine`) or onnxruntime (`codec.runtime`).
    """

    streams = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        facts = engine.facts
        self._facts = facts
        self._ladder = ladder(facts.codebook_sizes, facts.smaller)
        self.name: str = facts.name
        self.weights_hash: str = facts.weights_hash
        self.sample_rate: int = facts.sample_rate
        self.hop_length: int = facts.hop_length
        self.frame_rate: Fraction = facts.frame_rate
        self.codebook_sizes: tuple[int, ...] = facts.codebook_sizes
        self._form = StreamFormat(facts.sample_rate, facts.hop_length, facts.delay, facts.lead, facts.fills)

    @property
    def engine(self) -> Engine:
        """What runs the network."""
        return self._engine

    @property
    def delay(self) -> int:
        """Samples, at the model's rate, that decoding lags."""
        return self._form.delay

    @property
    def latency(self) -> float:
        """Seconds from a sample's arrival to its output at the latest: one frame, and what decoding lags.

        A model whose first frames depend on later ones (EnCodec's at 24 kHz) lags so much at the start alone.
        """
        return (self._form.lead * self.hop_length + self._form.delay) / self.sample_rate

    @property
    def channels(self) -> int:
        """Of the audio that one row of codes stands for."""
        return self._facts.channels

    @property
    def kbps(self) -> list[float]:
        """All bitrates that `encode` can make, rising, in kbps per channel."""
        return [rates(self.frame_rate, sizes)[-1] for sizes in self._ladder]

    def sizes_for(self, kbps: float | None = None, codebooks: int | None = None) -> tuple[int, ...]:
        """Sizes of the codebooks that `encode` uses for a wished bitrate or number of codebooks.

        Between the bitrates of whole codebooks the last one is smaller than the model's own.

        Raises:
            ConfigError: a rate that the model lacks, or both are given.
        """
        return sizes_for(kbps, codebooks, self.frame_rate, self.codebook_sizes, self._facts.smaller)

    @property
    def vbr(self) -> tuple[float, float] | None:
        """The least and the highest variable bitrate, in kbps per channel; None where there is none."""
        prices = self._facts.prices
        return (prices[0].kbps, prices[-1].kbps) if prices else None

    def choice_for(
        self, kbps: float | None = None, codebooks: int | None = None, vbr: float | None = None
    ) -> tuple[tuple[int, ...], float]:
        """Sizes of the codebooks that `encode` uses, and the price of a code (`codec.variable`; 0 without).

        Raises:
            ConfigError: a rate that the model lacks, or more than one is given.
        """
        if vbr is None:
            return self.sizes_for(kbps, codebooks), 0.0
        if kbps is not None or codebooks is not None:
            raise ConfigError("Give vbr, kbps or codebooks, and not more than one of them.")
        found = price_for(vbr, self._facts.prices, self.name)
        return self.codebook_sizes[: found.codebooks], found.price

    def info(self) -> dict[str, Any]:
        """Facts of the model as plain values."""
        return {
            "name": self.name,
            "weights_hash": self.weights_hash,
            "sample_rate": self.sample_rate,
            "frame_rate": float(self.frame_rate),
            "latency_ms": 1000 * self.latency if self.streams else None,
            "codebooks": len(self.codebook_sizes),
            "codebook_size": max(self.codebook_sizes),
            "kbps": self.kbps,
            "vbr": self.vbr,
            "parameters": self._facts.parameters,
        }

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
        """Tokens of a recording.

        Args:
            audio: `[samples]` or `[channels, samples]`, float (full scale is 1) or PCM integers.
            sample_rate: its rate in Hz; decoding returns audio at this rate.
            kbps: per channel; the largest bitrate of `Codec.kbps` that is not above it.
            codebooks: their number, instead of kbps; all if nothing is given.
            vbr: kbps that a token file has on average over speech, instead: frames that need no more codes
                take code 0 of a codebook, which adds nothing and hardly takes space in a file. Recordings
                that are loud, or do not pause, take more. `Tokens.kbps` is then the most that it can be.
            metadata: kept with the tokens.

        Raises:
            AudioError: audio that is not finite or has too many channels.
            ConfigError: a rate that the model lacks.
        """
        x = check_audio(audio)
        sizes, price = self.choice_for(kbps, codebooks, vbr)
        return self._encode(x, sample_rate, sizes, price, metadata)

    def encode_at(self, audio: np.ndarray, sample_rate: int, price: float) -> Tokens:
        """As `encode` with all codebooks, at a price of a code in squared distance (`codec.variable`)."""
        return self._encode(check_audio(audio), sample_rate, self.codebook_sizes, price, None)

    def _encode(
        self,
        x: np.ndarray,
        sample_rate: int,
        sizes: tuple[int, ...],
        price: float,
        metadata: Mapping[str, str] | None,
    ) -> Tokens:
        stream = self._stream_encoder(sizes, price, sample_rate, len(x))
        codes = np.concatenate([stream.push(x), stream.flush()], axis=2)
        return self._tokens(codes, sizes, sample_rate, x.shape[1], metadata)

    def encode_batch(
        self,
        recordings: Sequence[np.ndarray],
        sample_rate: int,
        *,
        kbps: float | None = None,
        codebooks: int | None = None,
        vbr: float | None = None,
    ) -> list[Tokens]:
        """Tokens of several recordings, computed together; each is exactly what `encode` gives for it alone.

        Args:
            recordings: each as for `encode`; lengths and channels may differ.
            sample_rate: of all of them, in Hz.
        """
        if not self._form.fills:
            # Where a recording ends matters to every layer, so they cannot be padded to one length.
            return [self.encode(x, sample_rate, kbps=kbps, codebooks=codebooks, vbr=vbr) for x in recordings]
        sizes, price = self.choice_for(kbps, codebooks, vbr)
        encoding = self._engine.encoding(sizes, price)
        clips = [check_audio(x) for x in recordings]
        rows = [
            row
            for x in clips
            for row in (x if sample_rate == self.sample_rate else resample(x, sample_rate, self.sample_rate))
        ]
        hop = self.hop_length
        frames = [-(-(len(row) + self._form.delay) // hop) if len(row) else 0 for row in rows]
        codes = np.zeros((len(rows), len(sizes), max(frames, default=0)), np.uint16)
        state: EncodingState | None = None
        step = self._form.block_frames
        for first in range(0, codes.shape[2], step):
            last = min(first + step, codes.shape[2])
            block = np.stack([_stretch(row, first * hop, last * hop) for row in rows])
            valid = [max(0, min(count, last) - first) for count in frames]
            codes[..., first:last], state = encoding.step(block, state, valid)
        tokens, row = [], 0
        for x in clips:
            own = codes[row : row + len(x), :, : frames[row]]
            tokens.append(self._tokens(own.copy(), sizes, sample_rate, x.shape[1], None))
            row += len(x)
        return tokens

    def decode(self, tokens: Tokens) -> np.ndarray:
        """Audio float32 `[channels, samples]` at `tokens.sample_rate`, as long as the recording was.

        Raises:
            ModelError: tokens of another model, or fewer frames than the recording's length needs.
        """
        self.check_tokens(tokens.model, tokens.weights_hash, tokens.codebook_sizes, tokens.frame_rate)
        stream = self.stream_decoder(
            sample_rate=tokens.sample_rate,
            channels=tokens.channels,
            skip=tokens.skip,
            n_samples=tokens.n_samples,
            codebook_sizes=tokens.codebook_sizes,
        )
        audio = np.concatenate([stream.push(tokens.codes), stream.flush()], axis=1)
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
    ) -> StreamEncoder:
        """An encoder for one recording that arrives in chunks; sample_rate (Hz) defaults to the model's."""
        sizes, price = self.choice_for(kbps, codebooks, vbr)
        rate = self.sample_rate if sample_rate is None else sample_rate
        return self._stream_encoder(sizes, price, rate, channels)

    def _stream_encoder(
        self, sizes: tuple[int, ...], price: float, sample_rate: int, channels: int
    ) -> StreamEncoder:
        encoding = self._engine.encoding(sizes, price)
        return StreamEncoder(
            encoding, self._form, sample_rate=sample_rate, channels=channels, codebook_sizes=sizes
        )

    def stream_decoder(
        self,
        *,
        sample_rate: int | None = None,
        channels: int = 1,
        skip: int = 0,
        n_samples: int | None = None,
        codebook_sizes: Sequence[int] | None = None,
    ) -> StreamDecoder:
        """A decoder for codes that arrive in groups of frames.

        Args:
            sample_rate: of the output, in Hz; the model's if not given.
            channels: of the codes and the output.
            skip: samples to drop at the start, as in `Tokens.skip`.
            n_samples: where the recording ends, if known; else all that the codes hold is returned.
            codebook_sizes: of the codes, as in `Tokens.codebook_sizes`; the model's own if not given.

        Raises:
            ModelError: codebooks that the model does not have.
        """
        sizes = self.codebook_sizes if codebook_sizes is None else tuple(codebook_sizes)
        self.check_sizes(sizes)
        return StreamDecoder(
            self._engine.decoding(sizes),
            self._form,
            sample_rate=self.sample_rate if sample_rate is None else sample_rate,
            channels=channels,
            codebooks=len(sizes),
            skip=skip,
            n_samples=n_samples,
            check=partial(self.check_codes, sizes),
        )

    def check_tokens(
        self, model: str, weights_hash: str, codebook_sizes: Sequence[int], frame_rate: Fraction
    ) -> None:
        """Raises ModelError unless this model made the tokens that these fields describe."""
        self.check_maker(model, weights_hash)
        if frame_rate != self.frame_rate:
            raise ModelError(f"These tokens do not fit {self.name}: their frame rate is not its own.")
        self.check_sizes(tuple(codebook_sizes))

    def check_maker(self, model: str, weights_hash: str) -> None:
        """Raises ModelError for tokens that name another model or other weights.

        Tokens that came from a file of another codec name no weights: whoever gives a model for them answers
        for it.
        """
        if weights_hash and (model, weights_hash) != (self.name, self.weights_hash):
            raise ModelError(
                f"These tokens were made by model {model or '?'} ({weights_hash}), and {self.name} "
                f"({self.weights_hash}) cannot decode them: pass the model that made them."
            )

    def check_sizes(self, sizes: tuple[int, ...]) -> None:
        """Raises ModelError unless these are sizes of codebooks that the model can have."""
        if sizes not in self._ladder:
            raise ModelError(f"These tokens do not fit {self.name}: their codebooks are not its own.")

    def check_codes(self, sizes: tuple[int, ...], codes: Codes) -> None:
        """Raises ConfigError unless codes are uint16 `[channels, codebooks, frames]`, each below its size."""
        if not isinstance(codes, np.ndarray) or codes.dtype != np.uint16 or codes.ndim != 3:
            raise ConfigError("Codes must be a uint16 array [channels, codebooks, frames].")
        if not 1 <= codes.shape[1] <= len(sizes):
            raise ConfigError(f"{self.name} has {len(sizes)} codebooks; the codes have {codes.shape[1]}.")
        limits = np.array(sizes[: codes.shape[1]])[:, None]
        if codes.size and bool((codes >= limits).any()):
            raise ConfigError("The codes use entries that the model's codebooks do not have.")

    def _tokens(
        self,
        codes: Codes,
        codebook_sizes: tuple[int, ...],
        sample_rate: int,
        n_samples: int,
        metadata: Mapping[str, str] | None,
    ) -> Tokens:
        return Tokens(
            codes=codes,
            codebook_sizes=codebook_sizes,
            frame_rate=self.frame_rate,
            sample_rate=sample_rate,
            n_samples=n_samples,
            model=self.name,
            weights_hash=self.weights_hash,
            metadata=dict(metadata or {}),
        )


def _stretch(row: np.ndarray, first: int, last: int) -> np.ndarray:
    """Samples first to last of a row, with zeros after its end."""
    part = row[first:last]
    return np.pad(part, (0, last - first - len(part)))


def require_length(tokens: Tokens, audio: np.ndarray) -> None:
    """Raises ModelError unless audio `[channels, samples]` is as long as the tokens say."""
    if tokens.n_samples is not None and audio.shape[1] < tokens.n_samples:
        raise ModelError(
            f"The tokens promise {tokens.n_samples} samples, but their {tokens.frames} frames make only "
            f"{audio.shape[1]}: they are cut short."
        )
