"""A causal ConvNeXt block at the frame rate (Liu et al. 2022, "A ConvNet for the 2020s", section 2)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.nn import cpu_training
from codec.nn.conv import CausalConv1d
from codec.nn.inference import linear
from codec.nn.sequential import State, StreamModule


class ConvNeXtBlock(StreamModule):
    """`x + MLP(norm(depthwise(x)))` on `[batch, channels, frames]`.

    The last layer starts at zero, so that a fresh block is the identity: a model that starts from its closed
    form keeps that form until training finds something better.
    """

    def __init__(self, channels: int, *, kernel_size: int, expansion: int, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = CausalConv1d(channels, channels, kernel_size, dilation=dilation, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, channels * expansion)
        self.contract = nn.Linear(channels * expansion, channels)
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        if state is None and self._fits(x) and cpu_training.applies(x):
            x = x.float()  # under autocast, what blocks add to is not rounded to 8 bits
            y = cpu_training.depthwise_norm(x.transpose(1, 2), self.depthwise.conv, self.norm)
            state = x[..., x.shape[-1] - self.history :]
        else:
            y, state = self.depthwise(x, state)
            y = self.norm(y.transpose(1, 2))
        y = F.gelu(linear(y, self.expand.weight, self.expand.bias))
        y = linear(y, self.contract.weight, self.contract.bias)
        return x + y.transpose(1, 2), state

    def _fits(self, x: torch.Tensor) -> bool:
        return self.depthwise.conv.dilation == (1,) and 0 < self.history <= x.shape[-1]

    @property
    def history(self) -> int:
        return self.depthwise.history

    def settled(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x[..., self.history :], x[..., : self.history])[0]
