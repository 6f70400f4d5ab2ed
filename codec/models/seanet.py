"""EnCodec's encoder and decoder in causal form (Défossez et al. 2022, section 3.1).

    encoder: conv | per ratio: residual units, ELU, strided conv    | LSTM | ELU, conv -> latents
    decoder: conv | LSTM | per ratio: ELU, transposed conv, residual units | ELU, conv -> samples

The channels double with every stride and halve with every transposed one. Layers stand in EnCodec's order,
with an index for each activation too, so that its parameter names map by index:

    model.N.conv.conv, model.N.convtr.convtr    model.layers.N.conv
    model.N.block.I.conv.conv                   model.layers.N.block.layers.I.conv
    model.N.shortcut.conv.conv                  model.layers.N.shortcut.conv
    model.N.lstm                                model.layers.N.lstm
    weight_g, weight_v                          parametrizations.weight.original0, .original1

Where EnCodec reflects the start of the recording, zeros stand here, so that a stream starts without delay.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from codec.errors import ConfigError
from codec.models.base import Decoder, Encoder
from codec.models.config import SeanetConfig
from codec.nn import (
    CausalConv1d,
    CausalConvTranspose1d,
    Pointwise,
    ResidualLSTM,
    ResidualUnit,
    State,
    StreamModule,
    StreamSequential,
    weight_norm,
)


class SeanetEncoder(Encoder):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`.

    Raises:
        ConfigError: the product of the ratios is not hop_length, or a size is not positive.
    """

    def __init__(self, config: SeanetConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        _check(config, hop_length)
        channels = config.channels
        layers: list[StreamModule] = [CausalConv1d(1, channels, config.kernel_size)]
        for ratio in reversed(config.ratios):
            layers += _residual_units(config, channels)
            layers += [_elu(), CausalConv1d(channels, 2 * channels, 2 * ratio, stride=ratio)]
            channels *= 2
        if config.lstm_layers:
            layers.append(ResidualLSTM(channels, layers=config.lstm_layers))
        layers += [_elu(), CausalConv1d(channels, latent_dim, config.last_kernel_size)]
        self.model = StreamSequential(layers)
        weight_norm(self.model)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.model(x, state)

    @property
    def history(self) -> int | None:
        return self.model.history

    @property
    def stride(self) -> int:
        return self.model.stride


class SeanetDecoder(Decoder):
    """`[batch, latent_dim, frames] -> [batch, 1, frames * hop_length]`, without delay.

    Raises:
        ConfigError: the product of the ratios is not hop_length, or a size is not positive.
    """

    def __init__(self, config: SeanetConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        _check(config, hop_length)
        channels = config.channels * 2 ** len(config.ratios)
        layers: list[StreamModule] = [CausalConv1d(latent_dim, channels, config.kernel_size)]
        if config.lstm_layers:
            layers.append(ResidualLSTM(channels, layers=config.lstm_layers))
        for ratio in config.ratios:
            layers += [_elu(), CausalConvTranspose1d(channels, channels // 2, 2 * ratio, stride=ratio)]
            channels //= 2
            layers += _residual_units(config, channels)
        layers += [_elu(), CausalConv1d(channels, 1, config.last_kernel_size)]
        self.model = StreamSequential(layers)
        weight_norm(self.model)

    @property
    def last(self) -> CausalConv1d:
        """The layer that gives the samples."""
        layer = self.model.layers[-1]
        assert isinstance(layer, CausalConv1d)
        return layer

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.model(x, state)

    @property
    def history(self) -> int | None:
        return self.model.history

    @property
    def upsampling(self) -> int:
        return self.model.upsampling


def _elu() -> Pointwise:
    return Pointwise(nn.ELU())


def _residual_units(config: SeanetConfig, channels: int) -> list[StreamModule]:
    return [
        ResidualUnit(
            channels,
            kernel_size=config.residual_kernel_size,
            dilation=config.dilation_base**i,
            compress=config.compress,
            conv_shortcut=config.conv_shortcut,
        )
        for i in range(config.residual_layers)
    ]


def _check(config: SeanetConfig, hop_length: int) -> None:
    if math.prod(config.ratios) != hop_length:
        raise ConfigError(f"The product of ratios {config.ratios} must be hop_length {hop_length}.")
    sizes = (*config.ratios, config.channels, config.kernel_size, config.last_kernel_size)
    if min(*sizes, config.residual_kernel_size, config.dilation_base) < 1:
        raise ConfigError("Ratios, channels, kernel sizes and dilation_base of SEANet must be positive.")
    if min(config.residual_layers, config.lstm_layers) < 0:
        raise ConfigError("residual_layers and lstm_layers must not be negative.")
