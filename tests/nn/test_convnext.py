"""The ConvNeXt block: causal, streaming, and the identity until it is trained."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.nn import ConvNeXtBlock
from tests.nn.streaming import check_history, check_streaming, chunk_lengths, deterministic


@deterministic
@given(kernel=st.integers(1, 7), dilation=st.integers(1, 4), lengths=chunk_lengths)
def test_block_streams(kernel: int, dilation: int, lengths: list[int]) -> None:
    check_streaming(lambda: ConvNeXtBlock(4, kernel_size=kernel, expansion=2, dilation=dilation), 4, lengths)


@deterministic
@given(kernel=st.integers(1, 7), dilation=st.integers(1, 4))
def test_block_sees_its_history_and_its_frame(kernel: int, dilation: int) -> None:
    check_history(lambda: ConvNeXtBlock(4, kernel_size=kernel, expansion=2, dilation=dilation), 4)


def test_fresh_block_is_the_identity() -> None:
    x = torch.randn(2, 8, 20)
    assert torch.equal(ConvNeXtBlock(8, kernel_size=7, expansion=4)(x)[0], x)
