"""Every structure inside a whole codec: streams, files, prefixes, weights on disk, training."""

from __future__ import annotations

import copy
import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import codec as package
from codec.codec import Codec
from codec.errors import CodecError
from codec.models import CodecConfig, SeanetConfig, store
from codec.models.config import from_json, to_json
from codec.quantize import (
    EuclideanConfig,
    GroupedConfig,
    LatticeConfig,
    NeuralConfig,
    QuantizerConfig,
    ResidualConfig,
    ScalarConfig,
    SplitConfig,
    TimeHierarchyConfig,
    TopKConfig,
)
from codec.tokenfile import read, write
from codec.torch_engine import torch_codec
from tests.networks import engine_of, small_network

FROZEN = EuclideanConfig(learning="frozen")
STRUCTURES: dict[str, QuantizerConfig] = {
    "time_hierarchy": TimeHierarchyConfig(stages=ResidualConfig(n_codebooks=1, codebook_size=32)),
    "beam": ResidualConfig(n_codebooks=3, codebook_size=32, lookup=FROZEN, beam=8),
    "grouped": GroupedConfig(groups=3, each=ResidualConfig(n_codebooks=2, codebook_size=16)),
    "scalar": ResidualConfig(n_codebooks=3, lookup=ScalarConfig(levels=(5, 4, 2))),
    "lattice": ResidualConfig(n_codebooks=2, codebook_size=100, lookup=LatticeConfig(dim=3)),
    "d4": ResidualConfig(n_codebooks=2, codebook_size=100, lookup=LatticeConfig(lattice="d4")),
    "e8": ResidualConfig(n_codebooks=2, codebook_size=300, lookup=LatticeConfig(lattice="e8")),
    "neural": NeuralConfig(n_codebooks=3, codebook_size=16, hidden=16, candidates=4, beam=2),
    "split": SplitConfig(
        dim=6,
        semantic=ResidualConfig(n_codebooks=1, codebook_size=32),
        acoustic=ResidualConfig(n_codebooks=3, codebook_size=32),
    ),
    "top_k": TopKConfig(codebook_size=64, k=4),
}
every = pytest.mark.parametrize("name", STRUCTURES)


def config_of(name: str) -> CodecConfig:
    return CodecConfig(
        name=f"small-{name}"[:64],
        sample_rate=8000,
        hop_length=40,
        latent_dim=12,
        network=SeanetConfig(channels=4, ratios=(5, 4, 2)),
        quantizer=STRUCTURES[name],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def model(name: str, folder: Path) -> Codec:
    """A codec that was stored and loaded again, as users have them."""
    weights = folder / f"{name}.safetensors"
    if not weights.exists():
        store.save(small_network(config_of(name)), weights)
    return package.load(str(weights))


def sound(n: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.3 * rng.standard_normal(n) * np.sin(np.arange(n) / 300)).astype(np.float32)


@every
def test_weights_and_configuration_come_back_from_disk(name: str, model: Codec, folder: Path) -> None:
    assert from_json(to_json(config_of(name))) == config_of(name) == engine_of(model).network.config
    network, found = store.load(folder / f"{name}.safetensors")
    assert found == model.weights_hash
    saved = small_network(config_of(name)).half().float()
    z = torch.randn(1, 12, 24)
    codes = network.quantizer.encode(z).codes
    torch.testing.assert_close(network.quantizer.decode(codes), saved.quantizer.decode(codes))


@every
def test_a_stream_in_chunks_of_any_length_is_the_whole(name: str, model: Codec) -> None:
    x = sound()
    tokens = model.encode(x, 8000)
    assert tokens.codebook_sizes == STRUCTURES[name].codebook_sizes
    audio = model.decode(tokens)
    assert audio.shape == (1, 4000)
    encoder, parts = model.stream_encoder(), []
    for first, last in zip([0, 7, 500, 501, 1700], [7, 500, 501, 1700, 4000], strict=True):
        parts.append(encoder.push(x[first:last]))
    codes = np.concatenate([*parts, encoder.flush()], axis=2)
    assert np.array_equal(codes, tokens.codes)
    decoder = model.stream_decoder(n_samples=4000)
    pieces = [decoder.push(codes[..., i : i + 3]) for i in range(0, codes.shape[2], 3)]
    np.testing.assert_allclose(np.concatenate([*pieces, decoder.flush()], axis=1), audio, atol=1e-5)
    batch = model.encode_batch([x, x[:900]], 8000)
    assert np.array_equal(batch[0].codes, tokens.codes)
    assert np.array_equal(batch[1].codes, model.encode(x[:900], 8000).codes)


@every
def test_codes_do_not_depend_on_float32_rounding(name: str, model: Codec) -> None:
    x = torch.from_numpy(sound())[None, None]
    network = copy.deepcopy(engine_of(model).network).double()
    with torch.no_grad():
        codes = network.quantizer.encode(network.encoder(x.double())[0]).codes
    frames = codes.shape[2]
    assert np.array_equal(model.encode(sound(), 8000).codes[0, :, :frames], codes[0].numpy())


@every
def test_token_files_hold_the_codes(name: str, model: Codec, tmp_path: Path) -> None:
    tokens = model.encode(sound(), 8000)
    write(tmp_path / "x.cdc", tokens)
    assert read(tmp_path / "x.cdc") == tokens
    np.testing.assert_array_equal(model.decode(read(tmp_path / "x.cdc")), model.decode(tokens))


@every
def test_fewer_codebooks_decode_where_the_structure_lets_them(name: str, model: Codec) -> None:
    tokens = model.encode(sound(), 8000)
    fewer = dataclasses.replace(
        tokens, codes=tokens.codes[:, :1].copy(), codebook_sizes=tokens.codebook_sizes[:1]
    )
    if name == "top_k":
        with pytest.raises(CodecError, match="all 2"):
            model.decode(fewer)
        with pytest.raises(CodecError, match="all 2"):
            model.encode(sound(), 8000, codebooks=1)
        return
    assert model.decode(fewer).shape == (1, 4000)
    again = model.encode(sound(), 8000, codebooks=1)
    # A beam looks ahead, so what it takes first depends on how much is to come.
    assert name in ("neural", "beam") or again == fewer


@every
def test_lost_packets_keep_their_time(name: str, model: Codec) -> None:
    tokens = model.encode(sound(), 8000)
    decoder = model.stream_decoder()
    start = decoder.push(None, frames=2)
    assert not start.any()
    parts = [start, decoder.push(tokens.codes[..., :3]), decoder.push(None, frames=2)]
    parts.append(decoder.push(tokens.codes[..., 5:]))
    length = sum(part.shape[1] for part in [*parts, decoder.flush()])
    late = round(model.latency * 8000) - model.hop_length
    assert length == (2 + tokens.frames) * model.hop_length - late


@every
def test_a_step_of_training_reaches_every_weight(name: str) -> None:
    network = small_network(config_of(name)).train()
    torch.manual_seed(0)
    made = network(torch.from_numpy(np.stack([sound(), sound()[::-1].copy()]))[:, None])
    (made.audio.square().mean() + made.loss).backward()
    for where, parameter in network.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where
    assert len(made.counts) == len(network.quantizer.codebook_sizes)


def test_the_latency_of_a_time_hierarchy_is_its_longest_stride(folder: Path) -> None:
    config = config_of("time_hierarchy")
    model = torch_codec(small_network(config), "0" * 16)
    assert model.hop_length == 4 * 40
    assert model.frame_rate == Fraction(8000, 160)
    flat = torch_codec(small_network(dataclasses.replace(config, quantizer=STRUCTURES["scalar"])), "0" * 16)
    assert model.latency - flat.latency == pytest.approx(3 * 40 / 8000)
    assert model.info()["latency_ms"] == pytest.approx(1000 * model.latency)
    # Seven codes a frame: one of 4 latents, two of 2, four of 1.
    assert model.info()["kbps"][-1] == pytest.approx(7 * 5 * 50 / 1000)
    # Samples from the first of a frame to the last that its codes depend on.
    x = sound(640)
    encoder = model.stream_encoder()
    arrived = [encoder.push(x[i : i + 40]).shape[2] for i in range(0, 640, 40)]
    assert arrived == [0, 0, 0, 1] * 4
