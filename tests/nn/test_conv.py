"""Causal convolutions: streaming equals offline, and what an output sees is exactly what `history` says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.nn import CausalConv1d, CausalConvTranspose1d, StreamModule
from tests.nn.streaming import check_history, check_streaming, chunk_lengths, deterministic, tensors


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    dilation = draw(st.integers(1, 4))
    kernel = draw(st.integers(1, 7))
    stride = draw(st.integers(1, min(5, (kernel - 1) * dilation + 1)))
    return {
        "kernel_size": kernel,
        "stride": stride,
        "dilation": dilation,
        "groups": draw(st.sampled_from([1, 2])),
    }


@st.composite
def transposed(draw: st.DrawFn) -> dict[str, Any]:
    stride = draw(st.integers(1, 5))
    return {"stride": stride, "kernel_size": draw(st.integers(stride, 4 * stride))}


@deterministic
@given(shape=convolutions(), lengths=chunk_lengths)
def test_convolution_streams(shape: dict[str, Any], lengths: list[int]) -> None:
    check_streaming(lambda: CausalConv1d(2, 4, **shape), 2, lengths)


@deterministic
@given(shape=transposed(), lengths=chunk_lengths, bias=st.booleans())
def test_transposed_convolution_streams(shape: dict[str, Any], lengths: list[int], bias: bool) -> None:
    check_streaming(lambda: CausalConvTranspose1d(2, 3, bias=bias, **shape), 2, lengths)


@deterministic
@given(shape=convolutions())
def test_convolution_sees_its_history_and_its_block(shape: dict[str, Any]) -> None:
    check_history(lambda: CausalConv1d(2, 4, **shape), 2)


@deterministic
@given(shape=transposed())
def test_transposed_convolution_sees_its_history_and_its_step(shape: dict[str, Any]) -> None:
    check_history(lambda: CausalConvTranspose1d(2, 3, **shape), 2)


@deterministic
@given(shape=convolutions(), blocks=st.integers(1, 12))
def test_convolution_is_the_padded_convolution(shape: dict[str, Any], blocks: int) -> None:
    layer = CausalConv1d(2, 4, **shape)
    x = torch.randn(1, 2, blocks * layer.stride)
    assert torch.equal(layer(x)[0], layer.conv(F.pad(x, (layer.history, 0))))


@deterministic
@given(shape=transposed(), blocks=st.integers(1, 12))
def test_transposed_convolution_is_the_trimmed_transposed_convolution(
    shape: dict[str, Any], blocks: int
) -> None:
    layer = CausalConvTranspose1d(2, 3, **shape)
    x = torch.randn(1, 2, blocks)
    torch.testing.assert_close(
        layer(x)[0], layer.conv(x)[..., : blocks * shape["stride"]], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "layer", [CausalConv1d(2, 2, 4, stride=4), CausalConvTranspose1d(2, 2, 4, stride=4)], ids=["down", "up"]
)
def test_kernel_as_long_as_the_stride_needs_no_state(layer: StreamModule) -> None:
    assert tensors(layer(torch.randn(1, 2, 8))[1]) == []
    assert layer.history == 0


def test_kernel_shorter_than_the_stride_is_refused() -> None:
    with pytest.raises(ConfigError, match="kernel_size 3 must not be smaller than stride 4"):
        CausalConv1d(1, 1, 3, stride=4)
    with pytest.raises(ConfigError, match="kernel_size 3 must not be smaller than stride 4"):
        CausalConvTranspose1d(1, 1, 3, stride=4)
