"""Live encoding and decoding: chunks in, codes or audio out as soon as they exist.

A stream is a small object that holds its own state; the model behind it has none, so any number of streams
share one model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from codec.audio import MAX_CHANNELS, check_audio
from codec.errors import AudioError, ConfigError
from codec.exact import EncoderState, ExactEncoder
from codec.models.base import Decoder
from codec.nn import State
from codec.quantize import ResidualQuantizer
from codec.resampling import Resampler
from codec.tokens import Codes

# Frames computed at once: long enough for the matrix products to be efficient, short enough for little
# memory.
BLOCK_FRAMES = 256


@dataclass(frozen=True)
class StreamFormat:
    """What a stream knows of its model: rate in Hz, samples per frame, and samples that decoding lags."""

    sample_rate: int
    hop_length: int
    delay: int


class StreamEncoder:
    """Encodes one recording that arrives in chunks of any lengths.

    The codes do not depend on the lengths of the chunks. `sample_rate` (Hz) and `channels` are the input's;
    each channel is encoded by itself. Made by `Codec.stream_encoder`.
    """

    def __init__(
        self, encoder: ExactEncoder, form: StreamFormat, *, sample_rate: int, channels: int, n_codebooks: int
    ) -> None:
        _check_channels(channels)
        self.sample_rate, self.channels, self.n_codebooks = sample_rate, channels, n_codebooks
        self._encoder, self._form = encoder, form
        self._state = EncoderState()
        self._resampler = Resampler(sample_rate, form.sample_rate, channels)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._taken = 0
        self._resampled = 0
        self._finished = False

    @property
    def n_samples(self) -> int:
        """Samples per channel pushed so far, at sample_rate."""
        return self._taken

    @property
    def rechecked(self) -> int:
        """Frames, summed over channels, whose codes were too close to call in float32."""
        return self._state.rechecked

    def push(self, chunk: np.ndarray) -> Codes:
        """Takes float samples `[samples]` or `[channels, samples]`; returns the codes that they complete.

        Returns:
            uint16 `[channels, n_codebooks, frames]`, frames >= 0.

        Raises:
            AudioError: samples that are not finite, another number of channels, or a stream already flushed.
        """
        if self._finished:
            raise AudioError("This stream was flushed: make a new stream_encoder for the next recording.")
        x = check_audio(chunk)
        if x.shape[0] != self.channels:
            raise AudioError(f"This stream has {self.channels} channel(s), but the chunk has {x.shape[0]}.")
        self._taken += x.shape[1]
        return self._take(self._resampler.push(x))

    def flush(self) -> Codes:
        """Ends the recording; returns the codes of what is left, uint16 `[channels, n_codebooks, frames]`."""
        if self._finished:
            raise AudioError("This stream was flushed: make a new stream_encoder for the next recording.")
        self._finished = True
        head = self._take(self._resampler.flush())
        hop = self._form.hop_length
        frames = -(-(self._resampled + self._form.delay) // hop) if self._resampled else 0
        missing = (frames - self._state.frames) * hop - self._waiting.shape[1]
        tail = self._encode(np.zeros((self.channels, missing), np.float32))
        return np.concatenate([head, tail], axis=2)

    def _take(self, x: np.ndarray) -> Codes:
        self._resampled += x.shape[1]
        return self._encode(x)

    def _encode(self, x: np.ndarray) -> Codes:
        hop = self._form.hop_length
        x = np.concatenate([self._waiting, x], axis=1)
        whole = x.shape[1] // hop * hop
        self._waiting = x[:, whole:]
        parts = [np.zeros((self.channels, self.n_codebooks, 0), np.uint16)]
        for first in range(0, whole, BLOCK_FRAMES * hop):
            block = torch.from_numpy(x[:, None, first : min(first + BLOCK_FRAMES * hop, whole)])
            codes, self._state = self._encoder.step(block, self._state, self.n_codebooks)
            parts.append(codes.numpy().astype(np.uint16))
        return np.concatenate(parts, axis=2)


class StreamDecoder:
    """Decodes codes that arrive in groups of any number of frames.

    Output is at `sample_rate` (Hz). The first `skip` samples are dropped, and with `n_samples` known
    nothing is returned past the recording's end. Made by `Codec.stream_decoder`.
    """

    def __init__(
        self,
        decoder: Decoder,
        quantizer: ResidualQuantizer,
        form: StreamFormat,
        *,
        sample_rate: int,
        channels: int,
        skip: int,
        n_samples: int | None,
        check: Callable[[Codes], None],
    ) -> None:
        _check_channels(channels)
        self.sample_rate, self.channels = sample_rate, channels
        self._decoder, self._quantizer, self._form, self._check = decoder, quantizer, form, check
        self._device = next(decoder.parameters()).device
        self._state: State = None
        self._resampler = Resampler(form.sample_rate, sample_rate, channels)
        self._late = form.delay  # samples at the model's rate that are still to be dropped
        self._skip = skip  # samples at the output's rate that are still to be dropped
        self._left = n_samples
        self._finished = False

    def push(self, codes: Codes) -> np.ndarray:
        """Audio float32 `[channels, samples]` that codes uint16 `[channels, codebooks, frames]` complete.

        Raises:
            ConfigError: codes of another shape, beyond the model's codebooks, or a stream already flushed.
        """
        if self._finished:
            raise ConfigError("This stream was flushed: make a new stream_decoder for the next recording.")
        self._check(codes)
        if codes.shape[0] != self.channels:
            raise ConfigError(
                f"This stream has {self.channels} channel(s), but the codes have {codes.shape[0]}."
            )
        parts = [np.zeros((self.channels, 0), np.float32)]
        for first in range(0, codes.shape[2], BLOCK_FRAMES):
            parts.append(self._decode(codes[..., first : first + BLOCK_FRAMES]))
        return np.concatenate(parts, axis=1)

    def flush(self) -> np.ndarray:
        """Ends the stream and returns the rest, float32 `[channels, samples]`."""
        if self._finished:
            raise ConfigError("This stream was flushed: make a new stream_decoder for the next recording.")
        self._finished = True
        return self._emit(self._resampler.flush())

    @torch.inference_mode()
    def _decode(self, codes: Codes) -> np.ndarray:
        latents = self._quantizer.decode(torch.from_numpy(codes.astype(np.int64)).to(self._device))
        audio, self._state = self._decoder(latents, self._state)
        x = audio[:, 0].cpu().numpy()
        late = min(self._late, x.shape[1])
        self._late -= late
        return self._emit(self._resampler.push(x[:, late:]))

    def _emit(self, x: np.ndarray) -> np.ndarray:
        skipped = min(self._skip, x.shape[1])
        self._skip -= skipped
        x = x[:, skipped:]
        if self._left is not None:
            x = x[:, : self._left]
            self._left -= x.shape[1]
        return x


def _check_channels(channels: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"A stream has 1 to {MAX_CHANNELS} channels, not {channels}.")
