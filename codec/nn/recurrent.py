"""A streaming LSTM."""

from __future__ import annotations

import torch
from torch import nn

from codec.nn.sequential import State, StreamModule


class ResidualLSTM(StreamModule):
    """`x + LSTM(x)` on `[batch, channels, time]`, as in EnCodec (Défossez et al. 2022, section 3.1).

    The state is the pair (hidden, cell), each `[batch, layers, channels]`.
    """

    def __init__(self, channels: int, *, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers, batch_first=True)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        before = None
        if isinstance(state, tuple):
            # nn.LSTM wants layers first; we keep the batch first, so that states of streams can be joined.
            before = tuple(
                part.transpose(0, 1).contiguous() for part in state if isinstance(part, torch.Tensor)
            )
        y, after = self.lstm(x.transpose(1, 2), before)
        return x + y.transpose(1, 2), tuple(part.transpose(0, 1) for part in after)

    @property
    def history(self) -> int | None:
        return None
