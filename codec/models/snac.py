"""SNAC's encoder and decoder (Siuzdak et al. 2024, "Multi-scale neural audio codec").

    encoder: conv | per rate: 3 residual units, snake, strided conv | attention | conv -> latents
    decoder: conv | attention | per rate: snake, transposed conv, noise, 3 residual units | snake, conv, tanh

As DAC's (`codec.models.dac`), lighter by depthwise convolutions, and with attention inside windows where the
configuration says so. Its codes at several strides are those of `codec.quantize.time_hierarchy`. Layers have
the names of the official package.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from codec.models.base import Decoder, Encoder
from codec.models.config import SnacConfig
from codec.models.dac import check_rates
from codec.nn import State, weight_norm
from codec.nn.local_attention import LocalAttention
from codec.nn.snake import Snake, SnakeDown, SnakeUp


class SnacEncoder(Encoder):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`.

    Samples must be a multiple of hop_length, and frames one of the attention's window.

    Args:
        frame_length: samples of a frame of codes, which spans several latent frames.

    Raises:
        ConfigError: the product of the rates is not hop_length, or a size is not positive.
    """

    causal = False

    def __init__(self, config: SnacConfig, hop_length: int, latent_dim: int, frame_length: int) -> None:
        super().__init__()
        check_rates(config.encoder_rates, config.decoder_rates, hop_length)
        channels = config.encoder_channels
        layers: list[nn.Module] = [nn.Conv1d(1, channels, 7, padding=3)]
        for rate in config.encoder_rates:
            layers.append(SnakeDown(channels, rate, depthwise=config.depthwise))
            channels *= 2
        if config.attention_window:
            layers.append(LocalAttention(channels, config.attention_window))
        groups = channels if config.depthwise else 1
        layers.append(nn.Conv1d(channels, latent_dim, 7, padding=3, groups=groups))
        self.block = nn.Sequential(*layers)
        self._stride = hop_length
        self.fills = math.lcm(frame_length, hop_length * max(1, config.attention_window))
        weight_norm(self)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.block(x), None

    @property
    def history(self) -> None:
        return None

    @property
    def stride(self) -> int:
        return self._stride


class SnacDecoder(Decoder):
    """`[batch, latent_dim, frames] -> [batch, 1, frames * hop_length]`, without delay or noise.

    Raises:
        ConfigError: the product of the rates is not hop_length, or a size is not positive.
    """

    def __init__(self, config: SnacConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        check_rates(config.encoder_rates, config.decoder_rates, hop_length)
        channels = config.decoder_channels
        layers: list[nn.Module]
        if config.depthwise:
            layers = [
                nn.Conv1d(latent_dim, latent_dim, 7, padding=3, groups=latent_dim),
                nn.Conv1d(latent_dim, channels, 1),
            ]
        else:
            layers = [nn.Conv1d(latent_dim, channels, 7, padding=3)]
        if config.attention_window:
            layers.append(LocalAttention(channels, config.attention_window))
        for rate in config.decoder_rates:
            layers.append(SnakeUp(channels, rate, depthwise=config.depthwise, noise=config.noise, even=True))
            channels //= 2
        layers += [Snake(channels), nn.Conv1d(channels, 1, 7, padding=3), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        self._upsampling = hop_length
        weight_norm(self)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.model(x), None

    @property
    def history(self) -> None:
        return None

    @property
    def upsampling(self) -> int:
        return self._upsampling
