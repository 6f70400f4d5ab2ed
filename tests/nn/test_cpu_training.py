"""What is compiled for training on a CPU computes what PyTorch computes, gradients included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.nn import ConvNeXtBlock, cpu_training
from codec.nn.inference import pointwise
from tests.nn.streaming import deterministic


def block(channels: int, kernel_size: int) -> ConvNeXtBlock:
    made = ConvNeXtBlock(channels, kernel_size=kernel_size, expansion=2)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def gradients(y: torch.Tensor, outer: torch.Tensor, wanted: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(y, wanted, outer))


@deterministic
@given(
    batch=st.integers(1, 3),
    channels=st.integers(2, 40),
    kernel_size=st.integers(2, 8),
    longer=st.integers(0, 20),
)
def test_depthwise_and_norm_are_those_of_pytorch(
    batch: int, channels: int, kernel_size: int, longer: int
) -> None:
    torch.manual_seed(0)
    layer = block(channels, kernel_size)
    frames = kernel_size - 1 + longer
    x = torch.randn(batch, frames, channels, requires_grad=True)
    wanted = [x, *layer.depthwise.parameters(), *layer.norm.parameters()]
    expected = layer.norm(layer.depthwise(x.transpose(1, 2))[0].transpose(1, 2))
    made = cpu_training.depthwise_norm(x, layer.depthwise.conv, layer.norm)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
    outer = torch.randn_like(made)
    for mine, theirs in zip(gradients(made, outer, wanted), gradients(expected, outer, wanted), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("frames", [1, 5, 6, 30])
def test_a_block_in_training_gives_what_it_gives_after_training(frames: int) -> None:
    torch.manual_seed(0)
    layer, x = block(16, 7), torch.randn(2, 16, frames)
    made, left = layer(x)
    with torch.inference_mode():
        expected, after = layer(x)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(left, after)


def test_float64_keeps_its_precision() -> None:
    torch.manual_seed(0)
    layer, x = block(16, 7).double(), torch.randn(2, 16, 30, dtype=torch.float64)
    assert not cpu_training.applies(x)
    assert layer(x)[0].dtype == torch.float64


def test_under_autocast_what_blocks_add_to_is_not_rounded() -> None:
    torch.manual_seed(0)
    layer, x = block(16, 7), torch.randn(2, 16, 30)
    torch.nn.init.zeros_(layer.contract.weight)
    torch.nn.init.zeros_(layer.contract.bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x)[0], x)


def test_a_diverged_training_is_seen() -> None:
    layer, x = block(16, 7), torch.randn(2, 16, 30)
    x[0, 3, 10] = torch.nan
    assert layer(x)[0].isnan().any()


def test_nothing_of_it_applies_without_gradients() -> None:
    with torch.no_grad():
        assert not cpu_training.applies(torch.zeros(1))


def test_pointwise_with_gradients_is_the_convolution() -> None:
    torch.manual_seed(0)
    convolution, x = torch.nn.Conv1d(24, 10, 1), torch.randn(2, 24, 30, requires_grad=True)
    made, expected = pointwise(x, convolution), convolution(x)
    torch.testing.assert_close(made, expected)
    outer, wanted = torch.randn_like(expected), [x, *convolution.parameters()]
    for mine, theirs in zip(gradients(made, outer, wanted), gradients(expected, outer, wanted), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
