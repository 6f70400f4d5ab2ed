"""Models of this package in `transformers.EncodecModel`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, EncodecModel

import codec
from codec.errors import ModelError
from codec.interop import to_encodec
from codec.models import CodecConfig, SeanetConfig, store
from codec.quantize import EuclideanConfig, ResidualConfig
from codec.torch_engine import torch_codec
from tests.interop import peers
from tests.networks import RECURRENT, SEANET, SPECTRAL, small_network

IDENTITY = CodecConfig(
    name="identity",
    sample_rate=24000,
    hop_length=30,
    latent_dim=8,
    network=SeanetConfig(
        channels=4, ratios=(5, 3, 2), lstm_layers=2, conv_shortcut=False, residual_layers=2, kernel_size=5
    ),
    quantizer=ResidualConfig(n_codebooks=7, codebook_size=32),
)


@pytest.mark.parametrize("config", [RECURRENT, IDENTITY], ids=lambda config: config.name)
def test_a_seanet_with_recurrent_layers_gives_equal_codes_and_waveforms_there(
    config: CodecConfig, tmp_path: Path
) -> None:
    store.save(small_network(config), tmp_path / "ours" / "small.safetensors", torch.float32)
    network, weights_hash = store.load(tmp_path / "ours" / "small.safetensors")
    ours = torch_codec(network, weights_hash)
    to_encodec.export(network, tmp_path / "theirs")
    loaded: Any = EncodecModel.from_pretrained(tmp_path / "theirs", output_loading_info=True)
    theirs, info = loaded
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    rates = theirs.config.target_bandwidths
    assert len(rates) == len(ours.codebook_sizes)
    x, exact = peers.audio(50 * config.hop_length), peers.exact(theirs)
    for used, bandwidth in enumerate(rates, start=1):
        with torch.no_grad():
            found = exact.encode(torch.from_numpy(x).double(), bandwidth=bandwidth)
            made = theirs.decode(found.audio_codes, found.audio_scales).audio_values
        tokens = ours.encode(x[0], config.sample_rate, codebooks=used)
        np.testing.assert_array_equal(tokens.codes, found.audio_codes[0].numpy())
        np.testing.assert_allclose(ours.decode(tokens), made[0], rtol=0, atol=1e-5)


def test_the_folder_has_its_processor_and_comes_back_as_the_same_model(tmp_path: Path) -> None:
    network = small_network(RECURRENT)
    to_encodec.export(network, tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).sampling_rate == 8000
    x, again = peers.audio(2000)[0], codec.load(tmp_path)
    ours = torch_codec(network, "")
    np.testing.assert_array_equal(again.encode(x, 8000).codes, ours.encode(x, 8000).codes)


def test_the_48_khz_model_goes_back_with_its_segments(tmp_path: Path) -> None:
    torch.save(peers.official_encodec(stereo=True).state_dict(), tmp_path / "a.th")
    model = codec.load(tmp_path / "a.th")
    network, _ = codec.shipped.load_network(str(tmp_path / "a.th"))
    to_encodec.export(network, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["chunk_length_s"], config["overlap"], config["normalize"]) == (1.0, 0.01, True)
    theirs: Any = EncodecModel.from_pretrained(tmp_path)
    x = peers.audio(60_000, 2)
    with torch.no_grad():
        made = theirs(torch.from_numpy(x), bandwidth=theirs.config.target_bandwidths[-1]).audio_values
    np.testing.assert_allclose(
        model.decode(model.encode(x[0], 48000)), made[0, :, :60_000], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SPECTRAL, "no SEANet"),
        (SEANET, "another quantizer"),
        (replace(RECURRENT, network=SeanetConfig(channels=4, ratios=(5, 4, 2))), "no recurrent layers"),
        (
            replace(
                RECURRENT, quantizer=ResidualConfig(n_codebooks=2, codebook_size=48, lookup=EuclideanConfig())
            ),
            "power of two",
        ),
    ],
)
def test_models_that_it_cannot_express_are_refused(config: CodecConfig, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_encodec.configuration(config)
