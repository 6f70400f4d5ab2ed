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

Where EnCodec reflects the start of the recording, zeros stand here unless the configuration says otherwise,
so that a stream starts without delay.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import torch
from torch import nn

from codec.errors import ConfigError
from codec.models.base import Decoder, Encoder
from codec.models.config import SeanetConfig
from codec.nn import (
    CausalConv1d,
    CausalConvTranspose1d,
    CentredConv1d,
    CentredConvTranspose1d,
    Pointwise,
    ResidualLSTM,
    ResidualUnit,
    State,
    StreamModule,
    StreamSequential,
    weight_norm,
)
from codec.nn.residual import MakeConv


class SeanetEncoder(Encoder):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`.

    Raises:
        ConfigError: the product of the ratios is not hop_length, or a size is not positive.
    """

    def __init__(self, config: SeanetConfig, hop_length: int, latent_dim: int) -> None:
        super().__init__()
        _check(config, hop_length)
        channels = config.channels
        conv = _conv(config)
        layers: list[StreamModule] = [conv(config.audio_channels, channels, config.kernel_size)]
        for ratio in reversed(config.ratios):
            layers += _residual_units(config, channels)
            layers += [_elu(), conv(channels, 2 * channels, 2 * ratio, stride=ratio)]
            channels *= 2
        if config.lstm_layers:
            layers.append(ResidualLSTM(channels, layers=config.lstm_layers))
        layers += [_elu(), conv(channels, latent_dim, config.last_kernel_size)]
        self.model = StreamSequential(layers)
        self.causal, self.lead = config.causal, _lead(self.model, Fraction(1, hop_length))
        self._is_finite = config.causal and config.padding == "zeros"
        self.fills = None if config.padding == "zeros" else 1
        if config.norm == "weight":
            weight_norm(self.model)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.model(x, state)

    @property
    def history(self) -> int | None:
        # What reflects looks ahead at the start, and what fills up the last frame needs to know the end.
        return self.model.history if self._is_finite else None

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
        conv = _conv(config)
        layers: list[StreamModule] = [conv(latent_dim, channels, config.kernel_size)]
        if config.lstm_layers:
            layers.append(ResidualLSTM(channels, layers=config.lstm_layers))
        for ratio in config.ratios:
            layers += [_elu(), _conv_transpose(config, channels, ratio)]
            channels //= 2
            layers += _residual_units(config, channels)
        layers += [_elu(), conv(channels, config.audio_channels, config.last_kernel_size)]
        self.model = StreamSequential(layers)
        self.lead = _lead(self.model, Fraction(1))
        if config.norm == "weight":
            weight_norm(self.model)

    @property
    def last(self) -> CausalConv1d | CentredConv1d:
        """The layer that gives the samples."""
        layer = self.model.layers[-1]
        assert isinstance(layer, CausalConv1d | CentredConv1d)
        return layer

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.model(x, state)

    @property
    def history(self) -> int | None:
        return self.model.history

    @property
    def upsampling(self) -> int:
        return self.model.upsampling


def _conv(config: SeanetConfig) -> MakeConv:
    if config.causal:
        return partial(CausalConv1d, padding=config.padding)
    return partial(CentredConv1d, padding=config.padding, norm=config.norm == "group")


def _conv_transpose(config: SeanetConfig, channels: int, ratio: int) -> StreamModule:
    if config.causal:
        return CausalConvTranspose1d(channels, channels // 2, 2 * ratio, stride=ratio)
    norm = config.norm == "group"
    return CentredConvTranspose1d(channels, channels // 2, 2 * ratio, stride=ratio, norm=norm)


def _lead(model: StreamSequential, rate: Fraction) -> int:
    """Frames that the first call must have, where a step of the model's input is `rate` frames."""
    lead = 1
    for layer in model.layers:
        assert isinstance(layer, StreamModule)
        for part in layer.modules():
            if isinstance(part, CausalConv1d):
                lead = max(lead, math.ceil(part.lead * rate))
        rate = rate * layer.stride / layer.upsampling
    return lead


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
            make=_conv(config),
        )
        for i in range(config.residual_layers)
    ]


def _check(config: SeanetConfig, hop_length: int) -> None:
    if math.prod(config.ratios) != hop_length:
        raise ConfigError(f"The product of ratios {config.ratios} must be hop_length {hop_length}.")
    if config.causal and config.norm == "group":
        raise ConfigError("Group normalisation looks at the whole recording: set causal to false.")
    if not config.causal and config.padding == "zeros":
        raise ConfigError('Without causal, padding must be "constant" or "reflect".')
    sizes = (
        *config.ratios,
        config.channels,
        config.audio_channels,
        config.kernel_size,
        config.last_kernel_size,
    )
    if min(*sizes, config.residual_kernel_size, config.dilation_base) < 1:
        raise ConfigError("Ratios, channels, kernel sizes and dilation_base of SEANet must be positive.")
    if min(config.residual_layers, config.lstm_layers) < 0:
        raise ConfigError("residual_layers and lstm_layers must not be negative.")
