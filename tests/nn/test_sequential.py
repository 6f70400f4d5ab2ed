"""Layers in a row, residual units and folded weight norms."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from codec.errors import ConfigError
from codec.nn import (
    CausalConv1d,
    CausalConvTranspose1d,
    Pointwise,
    ResidualUnit,
    StreamModule,
    StreamSequential,
    fold_weight_norm,
    weight_norm,
)
from tests.nn.streaming import check_history, check_streaming, chunk_lengths, deterministic, randomize

# Kinds of layer, each with its ratio or its dilation.
down = st.tuples(st.just("down"), st.integers(1, 4))
up = st.tuples(st.just("up"), st.integers(1, 4))
unit = st.tuples(st.just("unit"), st.integers(1, 4))


def build(parts: list[tuple[str, int]]) -> StreamSequential:
    layers: list[StreamModule] = []
    for kind, size in parts:
        if kind == "down":
            layers.append(CausalConv1d(2, 2, 2 * size, stride=size))
        elif kind == "up":
            layers.append(CausalConvTranspose1d(2, 2, 2 * size, stride=size))
        else:
            layers.append(ResidualUnit(2, kernel_size=3, dilation=size))
        layers.append(Pointwise(nn.ELU()))
    return StreamSequential(layers)


@deterministic
@given(parts=st.lists(st.one_of(down, unit), min_size=1, max_size=4), lengths=chunk_lengths)
def test_layers_that_lower_the_rate_stream(parts: list[tuple[str, int]], lengths: list[int]) -> None:
    check_streaming(lambda: build(parts), 2, lengths)


@deterministic
@given(parts=st.lists(st.one_of(up, unit), min_size=1, max_size=4), lengths=chunk_lengths)
def test_layers_that_raise_the_rate_stream(parts: list[tuple[str, int]], lengths: list[int]) -> None:
    check_streaming(lambda: build(parts), 2, lengths)


@deterministic
@given(parts=st.lists(st.one_of(down, unit), min_size=1, max_size=4))
def test_history_adds_up_in_steps_of_the_input(parts: list[tuple[str, int]]) -> None:
    check_history(lambda: build(parts), 2)


@deterministic
@given(parts=st.lists(st.one_of(up, unit), min_size=1, max_size=4))
def test_history_through_rising_rates_counts_input_steps(parts: list[tuple[str, int]]) -> None:
    check_history(lambda: build(parts), 2)


def test_rates_multiply() -> None:
    assert build([("down", 2), ("down", 4), ("unit", 1)]).stride == 8
    assert build([("up", 2), ("unit", 1), ("up", 3)]).upsampling == 6


@pytest.mark.parametrize("conv_shortcut", [False, True])
def test_residual_unit_adds_its_block_to_its_shortcut(conv_shortcut: bool) -> None:
    layer = ResidualUnit(4, kernel_size=3, dilation=2, conv_shortcut=conv_shortcut)
    x = torch.randn(1, 4, 10)
    torch.testing.assert_close(layer(x)[0], layer.shortcut(x)[0] + layer.block(x)[0])
    assert torch.equal(layer.shortcut(x)[0], x) is not conv_shortcut


@pytest.mark.parametrize("compress", [0, 5])
def test_residual_unit_refuses_to_compress_to_nothing(compress: int) -> None:
    with pytest.raises(ConfigError, match="compress"):
        ResidualUnit(4, kernel_size=3, compress=compress)


@pytest.mark.parametrize("grad", [False, True])
def test_folded_weight_norm_changes_no_output(grad: bool) -> None:
    layers = build([("down", 2), ("unit", 1), ("up", 3)])
    plain = {name for name, _ in layers.named_parameters()}
    weight_norm(layers)
    randomize(layers)
    folded, x = copy.deepcopy(layers), torch.randn(2, 2, 24)
    before = layers(x)[0]
    with torch.set_grad_enabled(grad):
        fold_weight_norm(folded)
    torch.testing.assert_close(folded(x)[0], before, rtol=0, atol=1e-6)
    assert torch.equal(layers(x)[0], before), "folding a copy must leave the original whole"
    assert {name for name, _ in folded.named_parameters()} == plain
    assert all(parameter.requires_grad for parameter in folded.parameters())


def test_weight_norm_has_a_length_per_entry_of_the_first_axis() -> None:
    layer = CausalConvTranspose1d(3, 2, 4, stride=2)
    weight_norm(layer)
    assert layer.state_dict()["conv.parametrizations.weight.original0"].shape == (3, 1, 1)
    assert layer.state_dict()["conv.parametrizations.weight.original1"].shape == (3, 2, 4)


def test_weight_norm_twice_is_weight_norm_once() -> None:
    layer = CausalConv1d(3, 2, 4)
    weight_norm(layer)
    names = set(layer.state_dict())
    weight_norm(layer)
    assert set(layer.state_dict()) == names
