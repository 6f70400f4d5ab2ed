"""Changes of the frame rate: streams, and what stands before the start and after the end."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from codec.nn.frame_rate import Downsample, Upsample
from tests.nn.streaming import check_history, check_streaming, chunk_lengths, deterministic, randomize


@deterministic
@given(stride=st.integers(1, 4), lengths=chunk_lengths)
def test_both_stream(stride: int, lengths: list[int]) -> None:
    check_streaming(lambda: Downsample(4, stride), 4, lengths)
    check_streaming(lambda: Upsample(4, stride), 4, lengths)


def test_each_output_of_upsampling_depends_on_two_steps() -> None:
    check_history(lambda: Upsample(4, 3), 4)


@torch.no_grad()
def test_the_first_and_the_last_step_continue_a_recording() -> None:
    layer = randomize(Downsample(4, 2))
    assert isinstance(layer, Downsample)
    x = torch.randn(2, 4, 7)
    filled = F.pad(x, (2, 1), "replicate")
    torch.testing.assert_close(layer(x)[0], layer.conv(filled))
    assert layer(x)[0].shape == (2, 4, 4)


@torch.no_grad()
def test_rows_of_a_batch_may_begin_at_different_times() -> None:
    layer = randomize(Downsample(4, 2))
    assert isinstance(layer, Downsample)
    x, late = torch.randn(1, 4, 4), torch.randn(1, 4, 4)
    _, (past, begun) = layer(x)
    # Zeros are the state of a row at its start (`nn.rows`).
    state = (torch.cat([past, torch.zeros_like(past)]), torch.cat([begun, torch.zeros_like(begun)]))
    y, _ = layer(torch.cat([x, late]), state)
    torch.testing.assert_close(y[1:], layer(late)[0])
    torch.testing.assert_close(y[:1], layer(x, (past, begun))[0])
