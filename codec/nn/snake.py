"""The blocks that DAC (Kumar et al. 2023) and SNAC (Siuzdak et al. 2024) are made of; none is causal.

Layers have the names and the order of both packages, so that their parameters map by name.
"""

from __future__ import annotations

import math

import torch
from torch import nn

_DILATIONS = (1, 3, 9)


class Snake(nn.Module):
    """`x + sin^2(a x) / a` of `[batch, channels, time]`, a learned for each channel (Ziyin et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).square()


class SnakeUnit(nn.Module):
    """`x + block(x)`: a dilated convolution with kernel 7 and one with kernel 1, each after a snake.

    depthwise: the first filters each channel by itself.
    """

    def __init__(self, channels: int, dilation: int, *, depthwise: bool) -> None:
        super().__init__()
        groups = channels if depthwise else 1
        self.block = nn.Sequential(
            Snake(channels),
            nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation, groups=groups),
            Snake(channels),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


class Noise(nn.Module):
    """`x + n W x`, n white noise, the same in all channels: while training only, so that decoding repeats."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x + torch.randn_like(x[:, :1]) * self.linear(x)


class SnakeDown(nn.Module):
    """`[batch, channels, time] -> [batch, 2 * channels, time / stride]`: units, and a strided convolution."""

    def __init__(self, channels: int, stride: int, *, depthwise: bool = False) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(SnakeUnit(channels, dilation, depthwise=depthwise) for dilation in _DILATIONS),
            Snake(channels),
            nn.Conv1d(channels, 2 * channels, 2 * stride, stride=stride, padding=math.ceil(stride / 2)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x)


class SnakeUp(nn.Module):
    """`[batch, channels, time] -> [batch, channels // 2, time * stride]`: the reverse.

    even: strides that are odd give as many samples as they should; DAC's give one less.
    """

    def __init__(
        self, channels: int, stride: int, *, depthwise: bool = False, noise: bool = False, even: bool = False
    ) -> None:
        super().__init__()
        half = channels // 2
        upsample = nn.ConvTranspose1d(
            channels,
            half,
            2 * stride,
            stride=stride,
            padding=math.ceil(stride / 2),
            output_padding=stride % 2 if even else 0,
        )
        self.block = nn.Sequential(
            Snake(channels),
            upsample,
            *([Noise(half)] if noise else []),
            *(SnakeUnit(half, dilation, depthwise=depthwise) for dilation in _DILATIONS),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x)
