"""The streaming LSTM."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.nn import ResidualLSTM, StreamSequential
from tests.nn.streaming import check_streaming, chunk_lengths, deterministic, receptive_field, tensors


@deterministic
@given(layers=st.integers(1, 3), lengths=chunk_lengths)
def test_lstm_streams(layers: int, lengths: list[int]) -> None:
    check_streaming(lambda: ResidualLSTM(4, layers=layers), 4, lengths)


def test_lstm_sees_everything_before_and_nothing_after() -> None:
    torch.manual_seed(0)
    layer = ResidualLSTM(4, layers=2).double()
    assert receptive_field(layer, 4, blocks=12, block=8) == (0, 8)
    assert layer.history is None
    assert StreamSequential([layer]).history is None


def test_state_is_hidden_and_cell_of_every_layer() -> None:
    state = ResidualLSTM(4, layers=2)(torch.randn(3, 4, 5))[1]
    assert [tensor.shape for tensor in tensors(state)] == [(3, 2, 4), (3, 2, 4)]


def test_output_is_the_input_plus_what_the_lstm_says() -> None:
    layer = ResidualLSTM(4, layers=1)
    x = torch.randn(1, 4, 6)
    torch.testing.assert_close(layer(x)[0] - x, layer.lstm(x.transpose(1, 2))[0].transpose(1, 2))
