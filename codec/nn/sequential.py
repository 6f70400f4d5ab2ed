"""The contract of a streaming layer, and layers in a row."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

# A state is a tensor, a tuple of states, or None for the start of a stream.
State = torch.Tensor | tuple["State", ...] | None


class StreamModule(nn.Module):
    """A causal layer `[batch, in, time] -> [batch, out, time * rate]` with explicit state."""

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        raise TypeError(f"{type(self).__name__} must define forward(x, state)")

    @property
    def history(self) -> int | None:
        """Input steps before the current one that one output step depends on; None when unbounded.

        For a layer with stride `s`, "the current one" is the block of `s` steps that makes one output step;
        for a layer that raises the rate it is the input step that releases the block of output steps.
        """
        return 0

    @property
    def stride(self) -> int:
        """Input steps per output step (1 for a layer that keeps or raises the rate)."""
        return 1

    @property
    def upsampling(self) -> int:
        """Output steps per input step (1 for a layer that keeps or lowers the rate)."""
        return 1

    def settled(self, x: torch.Tensor) -> torch.Tensor:
        """Those outputs of x `[batch, in, time]` that depend on nothing before it, `[batch, out, ...]`.

        A layer that does not raise the rate, with a finite history, leaves out its first
        `ceil(history / stride)` outputs.
        """
        assert self.history is not None
        return self.forward(x)[0][..., -(-self.history // self.stride) :]


class Pointwise(StreamModule):
    """A module without memory, such as an activation, in the place of a streaming layer."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        return self.module(x), None


class StreamSequential(StreamModule):
    """Streaming layers in a row; the state is the tuple of their states."""

    def __init__(self, layers: Iterable[StreamModule]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        states = state if isinstance(state, tuple) else (None,) * len(self.layers)
        after: list[State] = []
        for layer, before in zip(self.layers, states, strict=True):
            x, new = layer(x, before)
            after.append(new)
        return x, tuple(after)

    def settled(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride > 1:  # what is left after one layer need not be whole blocks of the next
            return super().settled(x)
        for layer in self._stream_layers():
            x = layer.settled(x)
        return x

    @property
    def history(self) -> int | None:
        # Walk back from the first step of an output block to the first input step that it depends on.
        first = 0
        for layer in reversed(self._stream_layers()):
            if layer.history is None:
                return None
            first = first // layer.upsampling * layer.stride - layer.history
        return -first

    @property
    def stride(self) -> int:
        step = 1
        for layer in self._stream_layers():
            step *= layer.stride
        return step

    @property
    def upsampling(self) -> int:
        step = 1
        for layer in self._stream_layers():
            step *= layer.upsampling
        return step

    def _stream_layers(self) -> list[StreamModule]:
        return [layer for layer in self.layers if isinstance(layer, StreamModule)]
