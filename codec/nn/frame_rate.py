"""Between two frame rates: a strided convolution, and a transposed one that is its counterpart (Mimi)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.nn.sequential import State, StreamModule


class Downsample(StreamModule):
    """`[batch, channels, time] -> [batch, channels, ceil(time / stride)]`, with two strides of taps, no bias.

    The first step stands before the start, and the last one after the end of a stream, where a time that is
    no multiple of the stride must be. The state is (the last `stride` steps, 1 once there are any `[batch]`).
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 2 * stride, stride=stride, bias=False)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        if x.shape[-1] == 0:
            return x, state
        before = x[..., :1].expand(-1, -1, self.stride)
        if isinstance(state, tuple):
            past, begun = state
            assert isinstance(past, torch.Tensor)
            assert isinstance(begun, torch.Tensor)
            # Rows of a batch may begin at different times.
            before = torch.where(begun[:, None, None] > 0, past, before)
        x = torch.cat([before, x, x[..., -1:].expand(-1, -1, -x.shape[-1] % self.stride)], dim=-1)
        return self.conv(x), (x[..., -self.stride :], x.new_ones(len(x)))

    @property
    def history(self) -> int | None:
        return None  # the start is not as if zeros were before it

    @property
    def stride(self) -> int:
        return self.conv.stride[0]


class Upsample(StreamModule):
    """`[batch, channels, time] -> [batch, channels, time * stride]`: each channel by itself, without bias.

    The state is what the last step adds to coming output, `[batch, channels, stride]`.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(
            channels, channels, 2 * stride, stride=stride, groups=channels, bias=False
        )

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        y = F.conv_transpose1d(x, self.conv.weight, stride=self.upsampling, groups=self.conv.groups)
        if isinstance(state, torch.Tensor):
            y = y + F.pad(state, (0, y.shape[-1] - self.upsampling))
        length = x.shape[-1] * self.upsampling
        return y[..., :length], y[..., length:]

    @property
    def history(self) -> int:
        return 1

    @property
    def upsampling(self) -> int:
        return self.conv.stride[0]
