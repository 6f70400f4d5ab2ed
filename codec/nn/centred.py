"""Convolutions that look both ways, for whole recordings: those of EnCodec's models that do not stream.

They have the form of streaming layers, so that encoders are put together alike, but no state: what they give
for a recording needs all of it at once.
"""

from __future__ import annotations

import torch
from torch import nn

from codec.nn.padding import Padding, pad_ends
from codec.nn.sequential import State, StreamModule


class CentredConv1d(StreamModule):
    """`[batch, in, time] -> [batch, out, ceil(time / stride)]`, EnCodec's `SConv1d` where it is not causal.

    norm: group normalisation of the output, over channels and time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding,
        norm: bool,
    ) -> None:
        super().__init__()
        self._padding: Padding = padding
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride=stride, dilation=dilation)
        self.norm = nn.GroupNorm(1, out_channels) if norm else nn.Identity()

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        total = (self.conv.kernel_size[0] - 1) * self.conv.dilation[0] + 1 - self.stride
        # The last window is filled up, so that every sample is in one.
        right = total // 2 + -x.shape[-1] % self.stride
        return self.norm(self.conv(pad_ends(x, total - total // 2, right, self._padding))), None

    @property
    def history(self) -> None:
        return None

    @property
    def stride(self) -> int:
        return self.conv.stride[0]


class CentredConvTranspose1d(StreamModule):
    """`[batch, in, time] -> [batch, out, time * stride]`, EnCodec's `SConvTranspose1d` likewise."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int, norm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride=stride)
        self.norm = nn.GroupNorm(1, out_channels) if norm else nn.Identity()

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        y = self.norm(self.conv(x))
        total = self.conv.kernel_size[0] - self.conv.stride[0]
        return y[..., total - total // 2 : y.shape[-1] - total // 2], None

    @property
    def history(self) -> None:
        return None

    @property
    def upsampling(self) -> int:
        return self.conv.stride[0]
