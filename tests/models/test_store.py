"""Models on disk: what was saved is loaded, and what is damaged is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from codec.errors import ConfigError, ModelError, OutputError
from codec.models import CodecConfig, from_json, store, to_json
from codec.models.network import CodecNetwork
from codec.torch_engine import torch_codec
from tests.networks import CONFIGS, SEANET, SPECTRAL, small_network


def saved(folder: Path, config: CodecConfig = SPECTRAL) -> Path:
    path = folder / f"{config.name}.safetensors"
    store.save(small_network(config), path)
    return path


def change(path: Path, name: str, tensor: torch.Tensor | None) -> None:
    tensors = safetensors.torch.load_file(path)
    tensors.pop(name, None)
    if tensor is not None:
        tensors[name] = tensor
    safetensors.torch.save_file(tensors, path)


def audio(config: CodecConfig) -> torch.Tensor:
    torch.manual_seed(1)
    return 0.3 * torch.randn(1, 1, 60 * config.hop_length)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_loaded_network_is_the_saved_one_in_float16(tmp_path: Path, config: CodecConfig) -> None:
    network = small_network(config)
    path = tmp_path / "a.safetensors"
    store.save(network, path)
    loaded, _ = store.load(path)
    assert loaded.config == config
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    with torch.no_grad():
        expected = network.encoder(audio(config))[0]
        torch.testing.assert_close(loaded.encoder(audio(config))[0], expected, rtol=0.02, atol=0.02)
        codes = network.quantizer.encode(expected).codes
        torch.testing.assert_close(
            loaded.decoder(loaded.quantizer.decode(codes))[0],
            network.decoder(network.quantizer.decode(codes))[0],
            rtol=0.05,
            atol=0.02,
        )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_saving_what_was_loaded_changes_nothing(tmp_path: Path, config: CodecConfig) -> None:
    loaded, digest = store.load(saved(tmp_path, config))
    again = tmp_path / "again" / f"{config.name}.safetensors"
    store.save(loaded, again)
    assert store.load(again)[1] == digest
    assert again.read_bytes() == (tmp_path / again.name).read_bytes()


def test_files_hold_float16_and_no_training_state(tmp_path: Path) -> None:
    tensors = safetensors.torch.load_file(saved(tmp_path, SEANET))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert not [name for name in tensors if name.endswith((".usage", ".sums")) or "parametrizations" in name]


def test_saving_leaves_normalised_weights_in_training(tmp_path: Path) -> None:
    network = small_network(SEANET)
    names = list(network.state_dict())
    before = network.encoder(audio(SEANET))[0]
    store.save(network, tmp_path / "a.safetensors")
    assert list(network.state_dict()) == names
    torch.testing.assert_close(network.encoder(audio(SEANET))[0], before)


def test_a_saved_model_leaves_no_partial_files(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{SPECTRAL.name}.json", path.name]


def test_the_hash_knows_every_weight_and_the_configuration(tmp_path: Path) -> None:
    path = saved(tmp_path)
    digests = {store.load(path)[1]}
    tensors = safetensors.torch.load_file(path)
    for name, tensor in tensors.items():
        moved = tensor.clone()
        moved.view(-1)[-1] += 1
        change(path, name, moved)
        digests.add(store.load(path)[1])
        change(path, name, tensor)
    path.with_suffix(".json").write_text(to_json(replace(SPECTRAL, sample_rate=16000)))
    digests.add(store.load(path)[1])
    assert len(digests) == len(tensors) + 2
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


def test_other_types_of_weights_load_and_hash(tmp_path: Path) -> None:
    path = saved(tmp_path)
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, path)
    network, digest = store.load(path)
    assert len(digest) == 16
    assert torch_codec(network, digest).name == SPECTRAL.name


def test_files_cut_at_any_place_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    for size in [0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(ModelError, match="damaged"):
            store.load(path)
    path.write_bytes(b"\xff" * 200)
    with pytest.raises(ModelError, match="damaged"):
        store.load(path)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.with_suffix(".json").rename(tmp_path / "away.json")
    with pytest.raises(ModelError, match="configuration"):
        store.load(path)
    (tmp_path / "away.json").rename(path.with_suffix(".json"))
    path.unlink()
    with pytest.raises(ModelError, match="no model"):
        store.load(path)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("encoder.mix.bias", torch.zeros(7), r"encoder.mix.bias is \(7,\), not \(48,\)"),
        ("encoder.mix.bias", None, "encoder.mix.bias"),
        ("encoder.other", torch.zeros(1), "encoder.other"),
        ("encoder.mix.bias", torch.full((48,), float("nan")), "not finite"),
        ("quantizer.stages.0.usage", torch.ones(64), "usage"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, message: str
) -> None:
    path = saved(tmp_path)
    change(path, name, tensor)
    with pytest.raises(ModelError, match=message):
        store.load(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"hop_length": 10**400},
        {"sample_rate": "fast"},
        {"latent_dim": 49},
        {"latent_dim": 11},
        {"name": "\ud800"},
        {
            "network": {
                "kind": "spectral",
                "width": 48,
                "kernel_size": 0,
                "encoder_blocks": 2,
                "decoder_blocks": 2,
            }
        },
        {"network": {"kind": "spectral", "width": 10**12}},
        {"network": {"kind": "spectral", "width": 48, "expansion": -1}},
        {"network": {"kind": "seanet", "ratios": [3]}},
        {"quantizer": {"lookup": {"kind": "cosine", "dim": -3}}},
        {"quantizer": {"commitment": 10**400}},
    ],
)
def test_configurations_that_make_no_sense_are_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    path = saved(tmp_path)
    config = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**config, **changed}))
    with pytest.raises(ModelError):
        store.load(path)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\x00", "{}}", '{"name": ' + "9" * 5000 + "}"])
def test_configurations_that_are_no_json_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ModelError):
        store.read_config(path)
    with pytest.raises(ConfigError):
        from_json(text)


def test_a_configuration_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ModelError, match="cannot be read"):
        store.read_config(tmp_path / "a.json")


def test_weights_that_float16_cannot_hold_are_not_saved(tmp_path: Path) -> None:
    network = CodecNetwork(SPECTRAL)
    with torch.no_grad():
        network.encoder.project.weight.fill_(1e6)  # type: ignore[union-attr, operator]
    with pytest.raises(ModelError, match=r"encoder\.project\.weight"):
        store.save(network, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        store.save(small_network(), tmp_path / "file" / "a.safetensors")
