"""Live encoding and decoding: chunks in, codes or audio out as soon as they exist.

A stream is a small object that holds its own state; the model behind it has none, so any number of streams
share one model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec.audio import MAX_CHANNELS, check_audio
from codec.engine import Decoding, Encoding, EncodingState
from codec.errors import AudioError, ConfigError
from codec.resampling import Resampler
from codec.tokens import Codes, check_int

# Computed at once, at most: enough for matrix products to be efficient, and so few that they take little
# memory, most of which goes to the layers that still have values for every sample.
_BLOCK_FRAMES = 512
_BLOCK_SAMPLES = 163_840

# What replaces a lost frame: the last good frame's latents, scaled by this for every frame lost in a row.
_LATENT_FADE = 0.85
# No model need fall silent for small latents: the audio itself fades out between these lost frames of a row.
_FADE_FROM, _FADE_TO = 10, 20
_MAX_LOST_FRAMES = 1 << 32


@dataclass(frozen=True)
class StreamFormat:
    """What a stream knows of its model: rate in Hz, samples per frame, and samples that decoding lags.

    lead, fills: as in `codec.engine.ModelFacts`.
    """

    sample_rate: int
    hop_length: int
    delay: int
    lead: int = 1
    fills: bool = True

    @property
    def block_frames(self) -> int:
        """Frames that are computed at once."""
        return max(self.lead, min(_BLOCK_FRAMES, _BLOCK_SAMPLES // self.hop_length), 1)


class StreamEncoder:
    """Encodes one recording that arrives in chunks of any lengths.

    The codes do not depend on the lengths of the chunks. `sample_rate` (Hz) and `channels` are the input's;
    each channel is encoded by itself. Made by `Codec.stream_encoder`.
    """

    def __init__(
        self,
        encoding: Encoding,
        form: StreamFormat,
        *,
        sample_rate: int,
        channels: int,
        codebook_sizes: tuple[int, ...],
    ) -> None:
        _check_channels(channels)
        self.sample_rate, self.channels, self.codebook_sizes = sample_rate, channels, codebook_sizes
        self._encoding, self._form = encoding, form
        self._state: EncodingState | None = None
        self._resampler = Resampler(sample_rate, form.sample_rate, channels)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._taken = 0
        self._resampled = 0
        self._finished = False

    @property
    def n_codebooks(self) -> int:
        """Codebooks of the codes, whose sizes are codebook_sizes."""
        return len(self.codebook_sizes)

    @property
    def n_samples(self) -> int:
        """Samples per channel pushed so far, at sample_rate."""
        return self._taken

    @property
    def rechecked(self) -> int:
        """Frames, summed over channels, whose codes were too close to call in float32."""
        return 0 if self._state is None else self._state.rechecked

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
        rest = self._resampler.flush()
        self._resampled += rest.shape[1]
        hop = self._form.hop_length
        frames = -(-(self._resampled + self._form.delay) // hop) if self._resampled else 0
        encoded = 0 if self._state is None else self._state.frames
        missing = (frames - encoded) * hop - self._waiting.shape[1] - rest.shape[1]
        return self._encode(np.pad(rest, ((0, 0), (0, missing if self._form.fills else 0))))

    def _take(self, x: np.ndarray) -> Codes:
        self._resampled += x.shape[1]
        return self._encode(x)

    def _encode(self, x: np.ndarray) -> Codes:
        hop = self._form.hop_length
        x = np.concatenate([self._waiting, x], axis=1)
        whole = x.shape[1] if self._finished else x.shape[1] // hop * hop
        if self._state is None and not self._finished and whole < self._form.lead * hop:
            whole = 0
        self._waiting = x[:, whole:]
        parts = [np.zeros((self.channels, self.n_codebooks, 0), np.uint16)]
        step = self._form.block_frames * hop
        for first in range(0, whole, step):
            block = x[:, first : min(first + step, whole)]
            codes, self._state = self._encoding.step(block, self._state)
            parts.append(codes)
        return np.concatenate(parts, axis=2)


class StreamDecoder:
    """Decodes codes that arrive in groups of any number of frames, some of which may be lost on the way.

    Output is at `sample_rate` (Hz). The first `skip` samples are dropped, and with `n_samples` known
    nothing is returned past the recording's end. Made by `Codec.stream_decoder`.
    """

    def __init__(
        self,
        decoding: Decoding,
        form: StreamFormat,
        *,
        sample_rate: int,
        channels: int,
        codebooks: int,
        skip: int,
        n_samples: int | None,
        check: Callable[[Codes], None],
    ) -> None:
        _check_channels(channels)
        self.sample_rate, self.channels, self._codebooks = sample_rate, channels, codebooks
        self._decoding, self._form, self._check = decoding, form, check
        self._state: Any = None
        self._last: np.ndarray | None = None  # latents [channels, latent_dim, 1] of the last good frame
        self._per_frame = 1  # latents that a frame has
        self._lost = 0  # frames lost since then
        self._pushed = 1  # frames that the last push had
        self._resampler = Resampler(form.sample_rate, sample_rate, channels)
        self._late = form.delay  # samples at the model's rate that are still to be dropped
        self._skip = skip  # samples at the output's rate that are still to be dropped
        self._left = n_samples
        # Latents, and the gain of all of their samples, that wait until there is enough for a first step.
        self._early: tuple[np.ndarray, np.ndarray] | None = None
        self._begun = form.lead == 1
        self._finished = False

    def push(self, codes: Codes | None, *, frames: int | None = None) -> np.ndarray:
        """Audio float32 `[channels, samples]` that codes uint16 `[channels, codebooks, frames]` complete.

        codes None stands for a lost packet: the last good frame is held and fades to silence within 20
        frames, so that the audio keeps its timing (measured by `codec bench loss`).

        Args:
            frames: of the lost packet; as many as the last push had (1 before any) if not given. With codes
                it need not be given, and must be their number of frames.

        Raises:
            ConfigError: codes of another shape, beyond the model's codebooks, or a stream already flushed.
        """
        if self._finished:
            raise ConfigError("This stream was flushed: make a new stream_decoder for the next recording.")
        if frames is not None:
            check_int("frames", frames, 0, _MAX_LOST_FRAMES)
        block = self._form.block_frames
        if codes is None:
            self._pushed = self._pushed if frames is None else frames
            return self._joined(
                self._conceal(min(block, self._pushed - first)) for first in range(0, self._pushed, block)
            )
        self._check(codes)
        if codes.shape[0] != self.channels:
            raise ConfigError(
                f"This stream has {self.channels} channel(s), but the codes have {codes.shape[0]}."
            )
        self._pushed = codes.shape[2]
        if frames is not None and frames != self._pushed:
            raise ConfigError(f"frames is {frames}, but the codes have {self._pushed}.")
        return self._joined(
            self._decode(codes[..., first : first + block]) for first in range(0, self._pushed, block)
        )

    def flush(self) -> np.ndarray:
        """Ends the stream and returns the rest, float32 `[channels, samples]`."""
        if self._finished:
            raise ConfigError("This stream was flushed: make a new stream_decoder for the next recording.")
        self._finished = True
        head = np.zeros((self.channels, 0), np.float32)
        if self._early is not None and not self._begun:
            head = self._compute(*self._early)
        return np.concatenate([head, self._emit(self._resampler.flush())], axis=1)

    def _decode(self, codes: Codes) -> np.ndarray:
        latents = self._decoding.latents(codes)
        gain = None
        if self._lost:
            gain = np.linspace(_gain(self._lost), 1, self._form.hop_length + 1, dtype=np.float32)[1:]
        self._last, self._per_frame, self._lost = latents[..., -1:], latents.shape[2] // codes.shape[2], 0
        return self._synthesize(latents, gain)

    def _conceal(self, frames: int) -> np.ndarray:
        """The audio of frames >= 1 that were lost."""
        if self._last is None:
            # Nothing was heard yet: silence, whatever the decoder makes of zeros.
            self._lost = max(self._lost, _FADE_TO)
            silent = np.zeros((self.channels, self._codebooks, 1), np.uint16)
            latents = np.zeros_like(self._decoding.latents(silent))
            self._last, self._per_frame = latents[..., -1:], latents.shape[2]
        lost = np.arange(self._lost, self._lost + frames + 1)
        fade = np.repeat(_LATENT_FADE ** lost[1:].astype(np.float32), self._per_frame)
        at = np.arange(1, frames * self._form.hop_length + 1) / self._form.hop_length
        gain = np.interp(at, np.arange(frames + 1), [_gain(int(k)) for k in lost]).astype(np.float32)
        self._lost += frames
        return self._synthesize(self._last * fade, gain)

    def _synthesize(self, latents: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
        """Audio of latents `[channels, latent_dim, frames]`, its first samples scaled by gain `[samples]`."""
        if self._begun:
            return self._compute(latents, gain)
        frames = latents.shape[2] // self._per_frame
        samples = frames * self._form.hop_length
        gain = np.ones(samples, np.float32) if gain is None else gain
        gain = np.pad(gain, (0, samples - len(gain)), constant_values=1)
        if self._early is not None:
            latents = np.concatenate([self._early[0], latents], axis=2)
            gain = np.concatenate([self._early[1], gain])
        self._early = latents, gain
        if latents.shape[2] // self._per_frame < self._form.lead:
            return np.zeros((self.channels, 0), np.float32)
        self._early, self._begun = None, True
        return self._compute(latents, gain)

    def _compute(self, latents: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
        x, self._state = self._decoding.step(latents, self._state)
        if gain is not None:
            x[:, : len(gain)] *= gain
        late = min(self._late, x.shape[1])
        self._late -= late
        return self._emit(self._resampler.push(x[:, late:]))

    def _joined(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros((self.channels, 0), np.float32), *parts], axis=1)

    def _emit(self, x: np.ndarray) -> np.ndarray:
        skipped = min(self._skip, x.shape[1])
        self._skip -= skipped
        x = x[:, skipped:]
        if self._left is not None:
            x = x[:, : self._left]
            self._left -= x.shape[1]
        return x


def _gain(lost: int) -> float:
    """Of the audio when so many frames in a row are lost."""
    return min(1.0, max(0.0, (_FADE_TO - lost) / (_FADE_TO - _FADE_FROM)))


def _check_channels(channels: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"A stream has 1 to {MAX_CHANNELS} channels, not {channels}.")
