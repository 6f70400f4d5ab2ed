"""Mimi's encoder and decoder (Défossez et al. 2024, "Moshi", section 3.3): SEANet and a transformer.

encoder: SEANet | transformer | strided convolution -> latents
decoder: transposed convolution | transformer | SEANet -> samples
"""

from __future__ import annotations

import torch

from codec.errors import ConfigError
from codec.models.base import Decoder, Encoder
from codec.models.config import MimiConfig
from codec.models.seanet import SeanetDecoder, SeanetEncoder
from codec.nn import CausalConv1d, State
from codec.nn.frame_rate import Downsample, Upsample
from codec.nn.transformer import Transformer


class MimiEncoder(Encoder):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`.

    Raises:
        ConfigError: sizes that do not fit together.
    """

    def __init__(self, config: MimiConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        self.seanet = SeanetEncoder(config.seanet, _inner_hop(config, hop_length), latent_dim)
        self.transformer = _transformer(config, latent_dim)
        self.downsample = Downsample(latent_dim, config.stride)
        self.fills, self.lead = self.seanet.fills, self.seanet.lead

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        first, second, third = state if isinstance(state, tuple) else (None, None, None)
        x, first = self.seanet(x, first)
        x, second = self.transformer(x, second)
        x, third = self.downsample(x, third)
        return x, (first, second, third)

    @property
    def history(self) -> int | None:
        # A window for every layer makes 80 seconds: what is unsure is not worth computing all of that again.
        return None

    @property
    def stride(self) -> int:
        return self.seanet.stride * self.downsample.stride


class MimiDecoder(Decoder):
    """`[batch, latent_dim, frames] -> [batch, 1, frames * hop_length]`, without delay.

    Raises:
        ConfigError: sizes that do not fit together.
    """

    def __init__(self, config: MimiConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        self.upsample = Upsample(latent_dim, config.stride)
        self.transformer = _transformer(config, latent_dim)
        self.seanet = SeanetDecoder(config.seanet, _inner_hop(config, hop_length), latent_dim)
        self.lead = -(-self.seanet.lead // config.stride)

    @property
    def last(self) -> CausalConv1d:
        """The layer that gives the samples."""
        layer = self.seanet.last
        assert isinstance(layer, CausalConv1d)
        return layer

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        first, second, third = state if isinstance(state, tuple) else (None, None, None)
        x, first = self.upsample(x, first)
        x, second = self.transformer(x, second)
        x, third = self.seanet(x, third)
        return x, (first, second, third)

    @property
    def history(self) -> int | None:
        return None

    @property
    def upsampling(self) -> int:
        return self.upsample.upsampling * self.seanet.upsampling


def _transformer(config: MimiConfig, channels: int) -> Transformer:
    part = config.transformer
    return Transformer(
        channels,
        layers=part.layers,
        heads=part.heads,
        hidden=part.hidden,
        context=part.context,
        max_period=part.max_period,
    )


def _inner_hop(config: MimiConfig, hop_length: int) -> int:
    """Samples per step of the transformers."""
    if config.stride < 1 or hop_length % config.stride:
        raise ConfigError(f"hop_length {hop_length} must be a multiple of Mimi's stride {config.stride}.")
    if not config.seanet.causal:
        raise ConfigError("Mimi is causal: set causal of its SEANet to true.")
    return hop_length // config.stride
