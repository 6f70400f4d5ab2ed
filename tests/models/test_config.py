"""Configurations survive JSON, and mistakes in them are named."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.models import (
    CodecConfig,
    SeanetConfig,
    SpectralConfig,
    build_decoder,
    build_encoder,
    from_json,
    to_json,
)
from codec.models.seanet import SeanetDecoder, SeanetEncoder
from codec.models.spectral import SpectralDecoder, SpectralEncoder
from codec.quantize.config import CosineConfig, EuclideanConfig, ResidualConfig
from tests.nn.streaming import deterministic

positive = st.integers(1, 10**6)
shares = st.floats(0, 1)

configs = st.builds(
    CodecConfig,
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=16),
    sample_rate=positive,
    hop_length=positive,
    latent_dim=positive,
    network=st.one_of(
        st.builds(SpectralConfig, kind=st.just("spectral"), width=positive, compand=shares),
        st.builds(
            SeanetConfig, kind=st.just("seanet"), ratios=st.lists(positive).map(tuple), lstm_layers=positive
        ),
    ),
    quantizer=st.builds(
        ResidualConfig,
        n_codebooks=st.integers(1, 64),
        codebook_size=st.integers(2, 65536),
        dropout=shares,
        lookup=st.one_of(
            st.builds(EuclideanConfig, kind=st.just("euclidean"), decay=shares),
            st.builds(CosineConfig, kind=st.just("cosine"), dim=positive),
        ),
    ),
)


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(to_json(CodecConfig())), **changes})


@deterministic
@given(config=configs)
def test_json_round_trip(config: CodecConfig) -> None:
    assert from_json(to_json(config)) == config


def test_what_is_left_out_takes_its_default() -> None:
    assert from_json('{"hop_length": 160}') == CodecConfig(hop_length=160)


def test_whole_numbers_are_accepted_as_floats() -> None:
    config = from_json(changed(network={"kind": "spectral", "compand": 1}))
    assert isinstance(config.network, SpectralConfig)
    assert config.network.compand == 1.0


def test_frame_rate_is_exact() -> None:
    assert CodecConfig(sample_rate=44100, hop_length=512).frame_rate == Fraction(11025, 128)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be an object"),
        (changed(hop=320), "model has the unknown key 'hop'"),
        (changed(network={"kind": "seanet", "stride": 2}), r"model.network has the unknown key 'stride'"),
        (changed(network={"kind": "transformer"}), "model.network names the unknown kind 'transformer'"),
        (changed(network={"widht": 4}), "model.network has the unknown key 'widht'"),
        (changed(network=3), "model.network names the unknown kind None"),
        (changed(network={"kind": "seanet", "ratios": 8}), "model.network.ratios must be a list"),
        (changed(network={"kind": "seanet", "ratios": [8, "5"]}), "model.network.ratios must be of type int"),
        (changed(network={"kind": "seanet", "conv_shortcut": 1}), "conv_shortcut must be of type bool"),
        (changed(hop_length=True), "model.hop_length must be of type int"),
        (changed(hop_length=1.5), "model.hop_length must be of type int"),
        (changed(hop_length=0), "must be positive"),
        (changed(name=""), "needs a name"),
        (changed(name="x" * 65), "needs a name"),
        (changed(quantizer={"codebook_size": 1}), "codebook_size must be between 2 and 65536"),
        (
            changed(quantizer={"lookup": {"kind": "cosine", "decay": 1.0}}),
            "lookup has the unknown key 'decay'",
        ),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_json(text)


def test_the_network_decides_what_is_built() -> None:
    spectral = CodecConfig(hop_length=8, latent_dim=4, network=SpectralConfig(width=8))
    seanet = CodecConfig(hop_length=8, latent_dim=4, network=SeanetConfig(channels=2, ratios=(4, 2)))
    assert isinstance(build_encoder(spectral), SpectralEncoder)
    assert isinstance(build_decoder(spectral), SpectralDecoder)
    assert isinstance(build_encoder(seanet), SeanetEncoder)
    assert isinstance(build_decoder(seanet), SeanetDecoder)


def test_parts_that_do_not_fit_are_refused() -> None:
    config = CodecConfig(hop_length=300, network=SeanetConfig(ratios=(8, 5, 4, 2)))
    for build in (build_encoder, build_decoder):
        with pytest.raises(ConfigError, match="hop_length 300"):
            build(config)
