"""A model as the audio tokenizer of language-model code, on PyTorch tensors.

The names are those of AudioCraft's `CompressionModel`, so that code for MusicGen-like models takes any model
of this package, imported ones included:

    tokenizer = Tokenizer(codec.load("hf:facebook/encodec_24khz"), num_codebooks=8)
    codes, scale = tokenizer.encode(wav)      # [batch, channels, samples] -> [batch, codebooks, frames]
    wav = tokenizer.decode(codes, scale)
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch

from codec.codec import Codec
from codec.errors import ConfigError
from codec.torch_engine import TorchEngine


@runtime_checkable
class AudioTokenizer(Protocol):
    """What language-model code asks of a tokenizer."""

    @property
    def channels(self) -> int: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def frame_rate(self) -> float: ...
    @property
    def cardinality(self) -> int: ...
    @property
    def num_codebooks(self) -> int: ...
    @property
    def total_codebooks(self) -> int: ...
    def set_num_codebooks(self, n: int) -> None: ...
    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]: ...
    def decode(self, codes: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor: ...
    def decode_latent(self, codes: torch.Tensor) -> torch.Tensor: ...


class Tokenizer:
    """The tokenizer of a model: fixed number of codebooks, batches of equal length, no files.

    Args:
        model: one that PyTorch runs, whose codebooks all have the same size.
        num_codebooks: of the codes; all if not given.

    Raises:
        ConfigError: a model that another runtime runs, that has codebooks of several sizes, or that codes a
            recording in segments with a level each, which codes alone cannot say.
    """

    def __init__(self, model: Codec, num_codebooks: int | None = None) -> None:
        if not isinstance(model.engine, TorchEngine):
            raise ConfigError('A tokenizer needs a model loaded with runtime="torch".')
        if len(set(model.codebook_sizes)) > 1:
            raise ConfigError(f"{model.name} has codebooks of several sizes, which have no one cardinality.")
        if model.engine.network.config.segments is not None:
            raise ConfigError(
                f"{model.name} codes segments with a level each, which codes cannot hold: use its tokens."
            )
        self.model, self._engine = model, model.engine
        self.set_num_codebooks(len(model.codebook_sizes) if num_codebooks is None else num_codebooks)

    @property
    def channels(self) -> int:
        """Of the audio."""
        return self.model.channels

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        return self.model.sample_rate

    @property
    def frame_rate(self) -> float:
        """Frames of codes per second."""
        return float(self.model.frame_rate)

    @property
    def cardinality(self) -> int:
        """Entries of a codebook."""
        return self.model.codebook_sizes[0]

    @property
    def num_codebooks(self) -> int:
        """Codebooks that `encode` gives."""
        return self._used

    @property
    def total_codebooks(self) -> int:
        """Codebooks that the model has."""
        return len(self.model.codebook_sizes)

    def set_num_codebooks(self, n: int) -> None:
        """Changes how many codebooks `encode` gives; raises ConfigError for a number that there is not."""
        self._used = len(self.model.sizes_for(codebooks=n))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Codes int64 `[batch, num_codebooks, frames]` of audio `[batch, channels, samples]`, and no scale.

        They are what `Codec.encode` gives, on the device of x.

        Raises:
            ConfigError: another shape. AudioError: samples that are not finite.
        """
        if x.ndim != 3 or x.shape[1] != self.channels:
            raise ConfigError(f"Audio must be [batch, {self.channels}, samples], not {list(x.shape)}.")
        if len(x) == 0:
            raise ConfigError("A batch must have at least one item.")
        audio = list(x.detach().to("cpu", torch.float32).numpy())
        tokens = self.model.encode_batch(audio, self.sample_rate, codebooks=self._used)
        codes = np.stack([item.codes[0].astype(np.int64) for item in tokens])
        return torch.from_numpy(codes).to(x.device), None

    def decode(self, codes: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        """Audio float32 `[batch, channels, frames * samples per frame - delay]` of codes, on their device.

        Args:
            codes: `[batch, codebooks, frames]`, all or the first of the model's.
            scale: for the protocol; there is none.

        Raises:
            ConfigError: codes of another shape, or that the codebooks do not have.
        """
        with torch.inference_mode():
            audio = self._engine.network.decoder(self.decode_latent(codes))[0]
        return audio[..., self.model.delay :].to(codes.device, copy=True)

    def decode_latent(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents float32 `[batch, latent dim, latent frames]` of codes, as `decode` takes them."""
        if codes.ndim != 3 or codes.is_floating_point() or not 1 <= codes.shape[1] <= self.total_codebooks:
            raise ConfigError("Codes must be integers [batch, codebooks, frames].")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.cardinality:
            raise ConfigError(f"Codes must be from 0 to {self.cardinality - 1}.")
        with torch.no_grad():
            return self._engine.network.quantizer.decode(codes.long().to(self._engine.network.device))
