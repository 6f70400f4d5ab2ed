"""The tokenizer of language-model code, on models of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import codec
from codec.errors import ConfigError
from codec.tokenizer import AudioTokenizer, Tokenizer
from codec.torch_engine import torch_codec
from tests.interop import peers
from tests.networks import RECURRENT, SPECTRAL, small_network


@pytest.fixture
def encodec(tmp_path: Path) -> codec.Codec:
    peers.hugging_face_encodec().save_pretrained(tmp_path)
    return codec.load(tmp_path)


@pytest.fixture
def dac(tmp_path: Path) -> codec.Codec:
    peers.hugging_face_dac(sampling_rate=16000).save_pretrained(tmp_path)
    return codec.load(tmp_path)


@pytest.fixture(params=["encodec", "dac", "spectral", "recurrent"])
def model(request: pytest.FixtureRequest) -> codec.Codec:
    configs = {"spectral": SPECTRAL, "recurrent": RECURRENT}
    if request.param in configs:
        return torch_codec(small_network(configs[request.param]), "")
    found: codec.Codec = request.getfixturevalue(request.param)
    return found


def test_its_codes_and_audio_are_those_of_the_model(model: codec.Codec) -> None:
    tokenizer, x = Tokenizer(model), peers.audio(3000, 1, 2)
    codes, scale = tokenizer.encode(torch.from_numpy(x))
    tokens = model.encode_batch(list(x), model.sample_rate)
    assert scale is None
    np.testing.assert_array_equal(codes, np.stack([item.codes[0] for item in tokens]))
    audio = tokenizer.decode(codes, scale)
    assert audio.shape[:2] == (2, 1)
    for item, made in zip(tokens, audio[..., :3000], strict=True):
        np.testing.assert_allclose(made, model.decode(item), rtol=0, atol=1e-6)


def test_it_offers_what_audiocraft_asks_for(encodec: codec.Codec) -> None:
    tokenizer = Tokenizer(encodec, num_codebooks=4)
    assert isinstance(tokenizer, AudioTokenizer)
    facts = (tokenizer.channels, tokenizer.sample_rate, tokenizer.frame_rate, tokenizer.cardinality)
    assert facts == (1, 24000, 75.0, 1024)
    assert (tokenizer.num_codebooks, tokenizer.total_codebooks) == (4, 32)
    tokenizer.set_num_codebooks(2)
    codes, _ = tokenizer.encode(torch.zeros(1, 1, 640))
    assert codes.shape == (1, 2, 2)
    assert codes.dtype == torch.int64
    with pytest.raises(ConfigError):
        tokenizer.set_num_codebooks(33)


def test_latents_are_those_that_the_decoder_sees(encodec: codec.Codec) -> None:
    tokenizer = Tokenizer(encodec)
    codes, _ = tokenizer.encode(torch.from_numpy(peers.audio(3200)))
    latents = tokenizer.decode_latent(codes)
    assert latents.shape == (1, 16, 10)
    network = tokenizer._engine.network
    torch.testing.assert_close(network.decoder(latents)[0], tokenizer.decode(codes))


def test_what_it_decodes_can_have_gradients_after_it(encodec: codec.Codec) -> None:
    tokenizer = Tokenizer(encodec)
    audio = tokenizer.decode(torch.zeros(1, 1, 8, dtype=torch.long))
    audio.requires_grad_().square().sum().backward()
    assert audio.grad is not None


@pytest.mark.parametrize("shape", [(3000,), (1, 3000), (1, 2, 3000), (0, 1, 3000)])
def test_audio_of_another_shape_is_refused(encodec: codec.Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        Tokenizer(encodec).encode(torch.zeros(shape))


@pytest.mark.parametrize(
    "codes",
    [
        torch.zeros(1, 33, 2, dtype=torch.long),
        torch.zeros(1, 2, dtype=torch.long),
        torch.zeros(1, 2, 2),
        torch.full((1, 2, 2), 1024),
        torch.full((1, 2, 2), -1),
    ],
)
def test_codes_that_the_model_does_not_have_are_refused(encodec: codec.Codec, codes: torch.Tensor) -> None:
    with pytest.raises(ConfigError):
        Tokenizer(encodec).decode(codes)


def test_models_whose_codes_need_more_are_refused(tmp_path: Path) -> None:
    torch.save(peers.official_encodec(stereo=True).state_dict(), tmp_path / "a.th")
    with pytest.raises(ConfigError, match="level each"):
        Tokenizer(codec.load(tmp_path / "a.th"))
    with pytest.raises(ConfigError, match="torch"):
        Tokenizer(codec.load(runtime="onnx"))
