"""DAC's encoder and decoder (Kumar et al. 2023, "High-fidelity audio compression with improved RVQGAN").

    encoder: conv | per rate: 3 residual units, snake, strided conv    | snake, conv -> latents
    decoder: conv | per rate: snake, transposed conv, 3 residual units | snake, conv, tanh -> samples

Every convolution looks both ways, with silence around the recording, so a recording is encoded as a whole.
Layers have the names of the official package.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.models.base import Decoder, Encoder
from codec.models.config import DacConfig
from codec.nn import State, weight_norm
from codec.nn.snake import Snake, SnakeDown, SnakeUp


class DacEncoder(Encoder):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`; samples must be a multiple of hop_length.

    Raises:
        ConfigError: the product of the rates is not hop_length, or a size is not positive.
    """

    causal = False

    def __init__(self, config: DacConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        check_rates(config.encoder_rates, config.decoder_rates, hop_length)
        channels = config.encoder_channels
        layers: list[nn.Module] = [nn.Conv1d(1, channels, 7, padding=3)]
        for rate in config.encoder_rates:
            layers.append(SnakeDown(channels, rate))
            channels *= 2
        layers += [Snake(channels), nn.Conv1d(channels, latent_dim, 3, padding=1)]
        self.block = nn.Sequential(*layers)
        self._stride = hop_length
        weight_norm(self)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.block(x), None

    @property
    def history(self) -> None:
        return None

    @property
    def stride(self) -> int:
        return self._stride


class DacDecoder(Decoder):
    """`[batch, latent_dim, frames] -> [batch, 1, frames * hop_length]`, without delay.

    Transposed convolutions with an odd stride give a sample less than they should; zeros at the end make up
    for what all of them lack (8 samples in the models at 16 and 24 kHz).
    """

    def __init__(self, config: DacConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        check_rates(config.encoder_rates, config.decoder_rates, hop_length)
        channels = config.decoder_channels
        layers: list[nn.Module] = [nn.Conv1d(latent_dim, channels, 7, padding=3)]
        for rate in config.decoder_rates:
            layers.append(SnakeUp(channels, rate))
            channels //= 2
        layers += [Snake(channels), nn.Conv1d(channels, 1, 7, padding=3), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        self._upsampling = hop_length
        weight_norm(self)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        y = self.model(x)
        return F.pad(y, (0, x.shape[-1] * self._upsampling - y.shape[-1])), None

    @property
    def history(self) -> None:
        return None

    @property
    def upsampling(self) -> int:
        return self._upsampling


def check_rates(down: tuple[int, ...], up: tuple[int, ...], hop_length: int) -> None:
    """Raises ConfigError unless both products are hop_length."""
    if min(*down, *up) < 1 or math.prod(down) != hop_length or math.prod(up) != hop_length:
        raise ConfigError(f"The products of the rates {down} and {up} must both be hop_length {hop_length}.")
