"""The spectral codec: a filter bank, ConvNeXt blocks at the frame rate, and the inverse filter bank.

    samples -> MDCT -> compress -> mix -> ConvNeXt blocks -> project -> latents
    latents -> unproject -> ConvNeXt blocks -> unmix -> expand -> inverse MDCT -> samples

Coefficients are compressed each by its own magnitude, or with `band_width` by the levels of bands, which the
network then has as further channels.

All work is done at the frame rate, which costs a small part of what convolutions at the waveform rate cost.
The network starts from a closed form (`training.start`): with identity blocks it is a transform codec whose
latents are the principal components of the companded spectrum.
"""

from __future__ import annotations

import torch
from torch import nn

from codec.errors import ConfigError
from codec.models.bands import BandLevels
from codec.models.base import Decoder, Encoder
from codec.models.config import SpectralConfig
from codec.nn import ConvNeXtBlock, MdctAnalysis, MdctSynthesis, State, StreamSequential
from codec.nn.inference import pointwise, wide_pointwise

# Keeps the slope of the compressing curve finite at zero; 1e-3 of full scale is about the 16-bit noise floor.
KNEE = 1e-6


def compress(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """`sign(x) |x|^exponent`, smoothed around zero."""
    return x * (x.square() + KNEE) ** ((exponent - 1) / 2)


def expand(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """`sign(x) |x|^(1 / exponent)`, the inverse of `compress` away from zero."""
    return x * (x.square() + KNEE) ** ((1 / exponent - 1) / 2)


class SpectralEncoder(Encoder):
    """Encoder of the spectral codec; the window of a frame reaches one hop back.

    Companding multiplies the rounding errors of small coefficients: those of a constant or a pure tone, where
    most are small, were ten times those of speech in float32. Of what is left, three quarters came from the
    first and the last layer, whose sums cancel most. So without gradients, the filter bank, the companding
    and these two layers are computed in float64, which is a small part of the work.
    """

    # More than twice the largest error that was seen, 9.7e-7, of the shipped weights (AVX-512), over speech,
    # noise, tones and more of all levels in PyTorch, onnxruntime and Numba: `tests.runtime.test_rounding`
    # measures it. Whole latents move by up to 1.3e-6. Of earlier weights it was 4.2e-7.
    rounding = 2.5e-6

    def __init__(self, config: SpectralConfig, hop_length: int, latent_dim: int, sample_rate: int) -> None:
        super().__init__()
        self.exponent = config.compand
        self.bands = _bands(config, hop_length, sample_rate)
        channels = hop_length + (self.bands.count if self.bands is not None else 0)
        _check(config, channels, latent_dim)
        self.analysis = MdctAnalysis(hop_length)
        self.mix = nn.Conv1d(channels, config.width, 1)
        self.blocks = StreamSequential(
            ConvNeXtBlock(config.width, kernel_size=config.kernel_size, expansion=config.expansion)
            for _ in range(config.encoder_blocks)
        )
        self.project = nn.Conv1d(config.width, latent_dim, 1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.eye(config.width, channels)[:, :, None])
            self.mix.bias.zero_()  # type: ignore[union-attr]
            nn.init.orthogonal_(self.project.weight[:, :, 0])

    def spectrum(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """Compressed coefficients `[batch, hop_length, frames]` of samples `[batch, 1, samples]`.

        With `band_width` the levels of the bands follow them: `[batch, hop_length + bands, frames]`.
        """
        x, state = self.analysis(x, state)
        return self._compressed(x).to(self.mix.weight.dtype), state

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        before = state if isinstance(state, tuple) else (None, None)
        x, analysis = self.analysis(x, before[0])
        x, blocks = self.blocks(wide_pointwise(self._compressed(x), self.mix), before[1])
        return wide_pointwise(x, self.project), (analysis, blocks)

    def settled(self, x: torch.Tensor) -> torch.Tensor:
        x = wide_pointwise(self._compressed(self.analysis.settled(x)), self.mix)
        return wide_pointwise(self.blocks.settled(x), self.project)

    def _compressed(self, x: torch.Tensor) -> torch.Tensor:
        return compress(x, self.exponent) if self.bands is None else self.bands.split(x)

    @property
    def history(self) -> int | None:
        blocks = self.blocks.history
        return None if blocks is None else self.analysis.history + blocks * self.stride

    @property
    def stride(self) -> int:
        return self.analysis.stride


class SpectralDecoder(Decoder):
    """Decoder of the spectral codec; its output lags by one hop, the overlap of the window."""

    def __init__(self, config: SpectralConfig, hop_length: int, latent_dim: int, sample_rate: int) -> None:
        super().__init__()
        self.delay = hop_length
        self.exponent = config.compand
        self.bands = _bands(config, hop_length, sample_rate)
        channels = hop_length + (self.bands.count if self.bands is not None else 0)
        _check(config, channels, latent_dim)
        self.unproject = nn.Conv1d(latent_dim, config.width, 1)
        self.blocks = StreamSequential(
            ConvNeXtBlock(config.width, kernel_size=config.kernel_size, expansion=config.expansion)
            for _ in range(config.decoder_blocks)
        )
        self.unmix = nn.Conv1d(config.width, channels, 1)
        self.synthesis = MdctSynthesis(hop_length)
        with torch.no_grad():
            self.unmix.weight.copy_(torch.eye(channels, config.width)[:, :, None])
            self.unmix.bias.zero_()  # type: ignore[union-attr]
            nn.init.orthogonal_(self.unproject.weight[:, :, 0])

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        before = state if isinstance(state, tuple) else (None, None)
        x, blocks = self.blocks(pointwise(x, self.unproject), before[0])
        # Under autocast, expanding and the filter bank stay in float32.
        x = pointwise(x, self.unmix).to(self.synthesis.basis.dtype)
        x = expand(x, self.exponent) if self.bands is None else self.bands.join(x)
        x, synthesis = self.synthesis(x, before[1])
        return x, (blocks, synthesis)

    @property
    def history(self) -> int | None:
        blocks = self.blocks.history
        return None if blocks is None else blocks + self.synthesis.history

    @property
    def upsampling(self) -> int:
        return self.synthesis.upsampling


def _bands(config: SpectralConfig, hop_length: int, sample_rate: int) -> BandLevels | None:
    if config.band_width == 0:
        return None
    return BandLevels(sample_rate, hop_length, config.band_width, config.compand)


def _check(config: SpectralConfig, channels: int, latent_dim: int) -> None:
    if config.width < channels:
        raise ConfigError(f"width {config.width} must be at least {channels}: hop_length and the bands.")
    if latent_dim > config.width:
        raise ConfigError(f"latent_dim {latent_dim} must not exceed width {config.width}.")
    if not 0 < config.compand <= 1:
        raise ConfigError(f"compand must be above 0 and at most 1, not {config.compand}.")
