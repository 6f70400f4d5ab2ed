"""SEANet: streaming, aligned and exactly as long as it should be, in EnCodec's order of layers."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.models import SeanetConfig
from codec.models.seanet import SeanetDecoder, SeanetEncoder
from codec.nn import fold_weight_norm
from tests.nn.streaming import check_history, check_streaming, chunk_lengths, deterministic

LATENTS = 6
ENCODEC = SeanetConfig(channels=32, ratios=(8, 5, 4, 2), lstm_layers=2)


@st.composite
def configs(draw: st.DrawFn, most_lstm_layers: int = 0) -> SeanetConfig:
    return SeanetConfig(
        channels=2,
        ratios=tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))),
        kernel_size=draw(st.integers(1, 7)),
        last_kernel_size=draw(st.integers(1, 7)),
        residual_layers=draw(st.integers(0, 3)),
        lstm_layers=draw(st.integers(0, most_lstm_layers)),
        conv_shortcut=draw(st.booleans()),
    )


def encoder(config: SeanetConfig) -> SeanetEncoder:
    return SeanetEncoder(config, math.prod(config.ratios), LATENTS)


def decoder(config: SeanetConfig) -> SeanetDecoder:
    return SeanetDecoder(config, math.prod(config.ratios), LATENTS)


@deterministic
@given(config=configs(2), lengths=chunk_lengths)
def test_encoder_streams(config: SeanetConfig, lengths: list[int]) -> None:
    check_streaming(lambda: encoder(config), 1, lengths)


@deterministic
@given(config=configs(2), lengths=chunk_lengths)
def test_decoder_streams(config: SeanetConfig, lengths: list[int]) -> None:
    check_streaming(lambda: decoder(config), LATENTS, lengths)


@deterministic
@given(config=configs())
def test_encoder_sees_its_history_and_its_frame(config: SeanetConfig) -> None:
    check_history(lambda: encoder(config), 1)


@deterministic
@given(config=configs())
def test_decoder_sees_its_history_and_its_frame(config: SeanetConfig) -> None:
    check_history(lambda: decoder(config), LATENTS)


def test_dilations_of_residual_units_grow_by_their_base() -> None:
    config = SeanetConfig(channels=2, ratios=(2,), residual_layers=3, dilation_base=3)
    # First 7 taps, units of 3 taps at dilations 1, 3 and 9, 4 taps with stride 2, 7 taps at half the rate.
    assert encoder(config).history == 6 + 2 * (1 + 3 + 9) + 2 + 2 * 6
    # The last 7 taps and the units reach back 32 samples or 16 frames; then 1 frame of overlap, and 7 taps.
    assert decoder(config).history == (6 + 2 * (1 + 3 + 9)) // 2 + 1 + 6


def test_lstm_has_no_finite_history() -> None:
    config = SeanetConfig(channels=2, ratios=(2,), lstm_layers=1)
    assert encoder(config).history is None
    assert decoder(config).history is None


@deterministic
@given(config=configs(1), frames=st.integers(1, 8))
def test_decoding_returns_hop_length_samples_a_frame(config: SeanetConfig, frames: int) -> None:
    hop = math.prod(config.ratios)
    latents, _ = encoder(config)(torch.randn(2, 1, frames * hop))
    assert latents.shape == (2, LATENTS, frames)
    assert decoder(config)(latents)[0].shape == (2, 1, frames * hop)
    assert decoder(config).delay == 0


def test_layers_stand_where_encodec_has_them() -> None:
    names = SeanetEncoder(ENCODEC, 320, 128).state_dict()
    convolutions = [0, 3, 6, 9, 12, 15]
    assert {int(name.split(".")[2]) for name in names} == {*convolutions, 1, 4, 7, 10, 13}
    direction = "parametrizations.weight.original1"
    shapes = [tuple(names[f"model.layers.{index}.conv.{direction}"].shape) for index in convolutions]
    assert shapes == [(32, 1, 7), (64, 32, 4), (128, 64, 8), (256, 128, 10), (512, 256, 16), (128, 512, 7)]
    assert names[f"model.layers.4.block.layers.1.conv.{direction}"].shape == (32, 64, 3)
    assert names[f"model.layers.4.block.layers.3.conv.{direction}"].shape == (64, 32, 1)
    assert names[f"model.layers.4.shortcut.conv.{direction}"].shape == (64, 64, 1)
    assert names["model.layers.13.lstm.weight_ih_l1"].shape == (2048, 512)


def test_decoder_layers_stand_where_encodec_has_them() -> None:
    names = SeanetDecoder(ENCODEC, 320, 128).state_dict()
    convolutions = [0, 3, 6, 9, 12, 15]
    assert {int(name.split(".")[2]) for name in names} == {*convolutions, 4, 7, 10, 13, 1}
    direction, length = "parametrizations.weight.original1", "parametrizations.weight.original0"
    shapes = [tuple(names[f"model.layers.{index}.conv.{direction}"].shape) for index in convolutions]
    assert shapes == [(512, 128, 7), (512, 256, 16), (256, 128, 10), (128, 64, 8), (64, 32, 4), (1, 32, 7)]
    assert names[f"model.layers.3.conv.{length}"].shape == (512, 1, 1)
    assert names["model.layers.1.lstm.bias_hh_l0"].shape == (2048,)


def test_encodec_has_as_many_parameters_as_its_authors_publish() -> None:
    networks = (SeanetEncoder(ENCODEC, 320, 128), SeanetDecoder(ENCODEC, 320, 128))
    assert sum(parameter.numel() for network in networks for parameter in network.parameters()) == 14_851_810


def test_folding_weight_norm_changes_no_output() -> None:
    torch.manual_seed(0)
    config = SeanetConfig(channels=4, ratios=(4, 2), lstm_layers=1)
    for network, x in (
        (encoder(config), torch.randn(2, 1, 80)),
        (decoder(config), torch.randn(2, LATENTS, 10)),
    ):
        folded = copy.deepcopy(network)
        fold_weight_norm(folded)
        torch.testing.assert_close(folded(x)[0], network(x)[0], rtol=0, atol=1e-6)
        assert not any("parametrizations" in name for name in folded.state_dict())


@pytest.mark.parametrize("network", [SeanetEncoder, SeanetDecoder])
def test_ratios_must_multiply_to_the_hop_length(network: type[SeanetEncoder] | type[SeanetDecoder]) -> None:
    with pytest.raises(ConfigError, match="must be hop_length 300"):
        network(SeanetConfig(), 300, LATENTS)


@pytest.mark.parametrize(
    "config",
    [
        SeanetConfig(ratios=(-2, -2)),
        SeanetConfig(ratios=(4,), channels=0),
        SeanetConfig(ratios=(4,), kernel_size=0),
        SeanetConfig(ratios=(4,), dilation_base=0),
        SeanetConfig(ratios=(4,), residual_layers=-1),
        SeanetConfig(ratios=(4,), lstm_layers=-1),
        SeanetConfig(ratios=(4,), compress=0),
    ],
)
def test_sizes_without_meaning_are_refused(config: SeanetConfig) -> None:
    with pytest.raises(ConfigError):
        encoder(config)
    with pytest.raises(ConfigError):
        decoder(config)
