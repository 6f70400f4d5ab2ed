"""What tests of streaming layers share: running in chunks, walking states, measuring what depends on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn

from codec.nn import State, StreamModule

# Layers this small gain nothing from threads, and threads that wait for a busy core cost many times the work.
torch.set_num_threads(1)

deterministic = settings(derandomize=True, deadline=None, max_examples=25)

# Lengths of chunks, in blocks of the layer's stride.
chunk_lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def randomize(module: nn.Module) -> nn.Module:
    """Give every parameter a random value, also those that start at zero and hide what a layer depends on."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    return module


def run_in_chunks(layer: StreamModule, x: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """The joined outputs for `x`, cut into chunks of `lengths` input steps."""
    state: State = None
    outputs = []
    for chunk in x.split(list(lengths), dim=-1):
        y, state = layer(chunk, state)
        outputs.append(y)
    return torch.cat(outputs, dim=-1)


def tensors(state: State) -> list[torch.Tensor]:
    """Every tensor in a state, from left to right."""
    if isinstance(state, torch.Tensor):
        return [state]
    return [] if state is None else [tensor for part in state for tensor in tensors(part)]


def join(first: State, second: State) -> State:
    """The state of two streams as one batch."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.cat([first, second])
    if isinstance(first, tuple) and isinstance(second, tuple):
        return tuple(join(a, b) for a, b in zip(first, second, strict=True))
    assert first is None
    assert second is None
    return None


def receptive_field(layer: StreamModule, channels: int, blocks: int, block: int) -> tuple[int, int]:
    """First and last input step that the output made from input block `block` depends on, found by gradients.

    The layer must be in float64, where even the faintest dependence stays above zero.
    """
    x = torch.randn(1, channels, blocks * layer.stride, dtype=torch.float64, requires_grad=True)
    y = layer(x)[0]
    (
        y.unflatten(-1, (blocks, -1))[0, :, block] * torch.randn(y.shape[1], y.shape[-1] // blocks)
    ).sum().backward()
    assert x.grad is not None
    used = x.grad[0].abs().sum(0).nonzero().flatten()
    return int(used[0]), int(used[-1])


def check_streaming(make: Callable[[], StreamModule], channels: int, lengths: Sequence[int]) -> None:
    """All that the contract of a streaming layer promises, for one layer and one way to cut the input."""
    layer = randomize(make())
    assert isinstance(layer, StreamModule)
    steps = [length * layer.stride for length in lengths]
    x = torch.randn(2, channels, sum(steps))
    with torch.no_grad():
        whole, final = layer(x)
        assert whole.shape[-1] == x.shape[-1] // layer.stride * layer.upsampling
        torch.testing.assert_close(run_in_chunks(layer, x, steps), whole, rtol=1e-5, atol=1e-5)
        check_states(layer, x[..., : steps[0]], x, final)
        check_rows(layer, x, whole)


def check_states(layer: StreamModule, start: torch.Tensor, x: torch.Tensor, final: State) -> None:
    """States keep their shape however long the stream, are never written to, and join along the batch."""
    state = layer(start)[1]
    assert [tensor.shape for tensor in tensors(state)] == [tensor.shape for tensor in tensors(final)]
    assert all(tensor.shape[0] == x.shape[0] for tensor in tensors(state))
    before = [tensor.clone() for tensor in tensors(state)]
    first = layer(x, state)[0]
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(state), strict=True))
    joined = layer(torch.cat([x, x]), join(state, final))[0]
    separate = torch.cat([first, layer(x, final)[0]])
    torch.testing.assert_close(joined, separate, rtol=1e-5, atol=1e-5)


def check_rows(layer: StreamModule, x: torch.Tensor, y: torch.Tensor) -> None:
    """A row of a batch says the same alone and beside any other row."""
    torch.testing.assert_close(layer(x[1:])[0], y[1:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(torch.stack([-3 * x[0], x[1]]))[0][1], y[1], rtol=1e-5, atol=1e-5)


def check_history(make: Callable[[], StreamModule], channels: int) -> None:
    """An output depends on exactly `history` steps before its block, and on nothing after the block."""
    layer = randomize(make().double())
    assert isinstance(layer, StreamModule)
    assert layer.history is not None
    stride = layer.stride
    block = -(-layer.history // stride) + 2
    first, last = receptive_field(layer, channels, block + 4, block)
    assert first == block * stride - layer.history
    assert last == (block + 1) * stride - 1
    check_recomputation(layer, channels, block, layer.history)


def check_recomputation(layer: StreamModule, channels: int, block: int, history: int) -> None:
    """Other values outside of `history` and the block itself change nothing in the output of the block."""
    stride = layer.stride
    x = torch.randn(1, channels, (block + 4) * stride, dtype=torch.float64)
    other = 5 * torch.randn_like(x)
    seen = slice(block * stride - history, (block + 1) * stride)
    other[..., seen] = x[..., seen]
    with torch.no_grad():
        made = [layer(values)[0].unflatten(-1, (block + 4, -1)) for values in (x, other)]
    torch.testing.assert_close(made[0][:, :, block], made[1][:, :, block], rtol=0, atol=1e-12)
    assert not torch.equal(made[0][:, :, block + 1], made[1][:, :, block + 1])
