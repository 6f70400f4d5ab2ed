"""The trainable whole: aligned, of the input's length, and the same as what the codec does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.models import CodecConfig
from codec.torch_engine import torch_codec
from tests.networks import BANDS, CONFIGS, small_network


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("samples", [1, 39, 40, 41, 1234])
def test_output_has_the_input_s_length(config: CodecConfig, samples: int) -> None:
    network = small_network(config)
    made = network(torch.randn(2, 1, samples))
    assert made.audio.shape == (2, 1, samples)
    assert made.loss.shape == ()
    frames = -(-(samples + network.decoder.delay) // config.hop_length)
    counts = made.counts.sum(1)
    if config is BANDS:  # what is skipped does not count
        assert (counts <= 2 * frames).all()
    else:
        assert counts.tolist() == [2 * frames] * 4
    assert network.reconstruct(torch.randn(2, 1, samples), 2).shape == (2, 1, samples)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("n_codebooks", [1, 4])
def test_reconstruction_is_what_the_codec_decodes(config: CodecConfig, n_codebooks: int) -> None:
    network = small_network(config)
    torch.manual_seed(1)
    x = 0.3 * torch.randn(1, 1, 3210)
    codec = torch_codec(network, "0" * 16)
    tokens = codec.encode(x[0].numpy(), config.sample_rate, codebooks=n_codebooks)
    np.testing.assert_allclose(
        network.reconstruct(x, n_codebooks)[0].numpy(), codec.decode(tokens), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_weight_gets_a_gradient(config: CodecConfig) -> None:
    network = small_network(config).train()
    made = network(torch.randn(2, 1, 400))
    (made.audio.square().mean() + made.loss).backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert not without
