"""The residual unit of SEANet (Tagliasacchi et al. 2020, "SEANet: a multi-modal speech enhancement network",
in the form that EnCodec uses)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from codec.errors import ConfigError
from codec.nn.conv import CausalConv1d
from codec.nn.sequential import Pointwise, State, StreamModule, StreamSequential


class MakeConv(Protocol):
    """What makes the convolutions of a network, all of one kind."""

    def __call__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
    ) -> StreamModule: ...


class ResidualUnit(StreamModule):
    """`shortcut(x) + block(x)` on `[batch, channels, time]`.

    The block is ELU, dilated convolution, ELU, 1x1 convolution.

    compress: the convolution inside has `channels / compress` channels.
    conv_shortcut: a 1x1 convolution in the shortcut instead of the identity.
    make: the convolutions.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        dilation: int = 1,
        compress: int = 2,
        conv_shortcut: bool = True,
        make: MakeConv = CausalConv1d,
    ) -> None:
        super().__init__()
        if not 1 <= compress <= channels:
            raise ConfigError(f"compress must be between 1 and the {channels} channels, not {compress}.")
        hidden = channels // compress
        self.block = StreamSequential(
            [
                Pointwise(nn.ELU()),
                make(channels, hidden, kernel_size, dilation=dilation),
                Pointwise(nn.ELU()),
                make(hidden, channels, 1),
            ]
        )
        self.shortcut = make(channels, channels, 1) if conv_shortcut else Pointwise(nn.Identity())

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        y, state = self.block(x, state)
        # The shortcut sees one step at a time and so has nothing to remember.
        return self.shortcut(x)[0] + y, state

    @property
    def history(self) -> int | None:
        return self.block.history
