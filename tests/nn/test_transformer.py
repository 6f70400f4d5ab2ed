"""The causal transformer: streams, how far it looks back, and its positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.nn.transformer import Transformer, TransformerLayer
from tests.nn.streaming import (
    check_history,
    check_streaming,
    chunk_lengths,
    deterministic,
    randomize,
    tensors,
)


def layer(context: int = 5) -> TransformerLayer:
    return TransformerLayer(8, heads=2, hidden=12, context=context, max_period=100.0)


@deterministic
@given(context=st.integers(1, 9), lengths=chunk_lengths)
def test_layers_stream(context: int, lengths: list[int]) -> None:
    check_streaming(lambda: layer(context), 8, lengths)


@deterministic
@given(lengths=chunk_lengths)
def test_several_layers_stream(lengths: list[int]) -> None:
    check_streaming(
        lambda: Transformer(8, layers=3, heads=2, hidden=12, context=4, max_period=100.0), 8, lengths
    )


@pytest.mark.parametrize("context", [1, 2, 6])
def test_a_step_attends_to_the_steps_of_its_context(context: int) -> None:
    check_history(lambda: layer(context), 8)


def test_layers_add_up_what_they_look_back() -> None:
    model = Transformer(8, layers=3, heads=2, hidden=12, context=4, max_period=100.0)
    assert model.history == 9
    check_history(lambda: Transformer(8, layers=3, heads=2, hidden=12, context=4, max_period=100.0), 8)


def test_the_state_is_a_window_of_keys_and_values_however_long_the_stream() -> None:
    for steps in (1, 3, 400):
        keys, values, count = tensors(layer()(torch.randn(3, 8, steps))[1])
        assert keys.shape == values.shape == (3, 2, 4, 4)
        assert count.tolist() == [min(steps, 4)] * 3


def test_zeros_are_the_state_of_a_stream_at_its_start() -> None:
    model, x = randomize(layer()), torch.randn(2, 8, 3)
    assert isinstance(model, TransformerLayer)
    with torch.no_grad():
        y, (keys, values, count) = model(x)
        zeros = (torch.zeros_like(keys), torch.zeros_like(values), torch.zeros_like(count))
        torch.testing.assert_close(model(x, zeros)[0], y)


def test_positions_are_exact_however_long_a_stream_is() -> None:
    model = randomize(layer())
    x = torch.randn(1, 8, 6)
    late = torch.cat([torch.randn(1, 8, 5_000), x], dim=2)
    with torch.no_grad():
        torch.testing.assert_close(model(late)[0][..., -1], model(x)[0][..., -1], rtol=1e-5, atol=1e-6)


def test_attention_depends_on_the_order_of_what_it_sees() -> None:
    model = randomize(layer())
    x = torch.randn(1, 8, 4)
    with torch.no_grad():
        there, back = model(x)[0][..., 3], model(x[..., [1, 0, 2, 3]])[0][..., 3]
    assert (there - back).abs().max() > 1e-4


def test_attention_is_the_formula() -> None:
    """Softmax of turned queries and keys over sqrt(dim), step by step (Su et al. 2021, equation 34)."""
    model = randomize(layer(context=3)).double()
    assert isinstance(model, TransformerLayer)
    x = torch.randn(1, 8, 7, dtype=torch.float64)
    with torch.no_grad():
        steps = model.attention_norm(x.transpose(1, 2))[0]
        projected = (steps @ model.project.weight.T).view(7, 3, 2, 2, 2)  # [step, qkv, head, pair, re and im]
        rates = 100.0 ** -(torch.arange(2, dtype=torch.float64) / 2)
        turns = torch.polar(torch.ones(7, 2).double(), torch.arange(7)[:, None] * rates)
        query = torch.view_as_complex(projected[:, 0].contiguous()) * turns[:, None]
        keys = torch.view_as_complex(projected[:, 1].contiguous()) * turns[:, None]
        mixed = torch.zeros(7, 2, 4, dtype=torch.float64)
        for step in range(7):
            seen = slice(max(0, step - 2), step + 1)
            scores = (query[step] * keys[seen].conj()).real.sum(-1) / 2
            weights = torch.softmax(scores, dim=0)
            mixed[step] = (weights[..., None] * projected[seen, 2].flatten(2)).sum(0)
        y = x.transpose(1, 2)[0] + model.attention_scale * (mixed.flatten(1) @ model.unproject.weight.T)
        inner = torch.nn.functional.gelu(model.mlp_norm(y) @ model.expand.weight.T)
        y = y + model.mlp_scale * (inner @ model.contract.weight.T)
        torch.testing.assert_close(model(x)[0][0].T, y)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="in pairs for each head"):
        TransformerLayer(10, heads=2, hidden=8, context=4, max_period=100.0)
    with pytest.raises(ConfigError, match="context of 0"):
        layer(0)
