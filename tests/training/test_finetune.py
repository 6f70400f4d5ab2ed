"""Training that goes on from a model, or from another training's checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from codec import shipped
from codec.errors import ModelError
from codec.models import CodecConfig, SeanetConfig, store
from codec.models.network import CodecNetwork
from codec.quantize import CosineConfig, EuclideanConfig
from codec.quantize.euclidean import EuclideanStage
from codec.training.adversary import Adversary
from codec.training.discriminators import load_discriminators, save_discriminators
from codec.training.export import ExportModel
from codec.training.finetune import start_from_weights
from tests.training.small import CODEC, PERIOD, QUANTIZER, fit, judged, training

SEANET = dataclasses.replace(CODEC, network=SeanetConfig(channels=2, ratios=(5, 4, 4)), name="seanet")
COSINE = dataclasses.replace(
    CODEC, quantizer=dataclasses.replace(QUANTIZER, lookup=CosineConfig(dim=4)), name="cosine"
)


def stored(folder: Path, config: CodecConfig) -> Path:
    torch.manual_seed(5)
    path = folder / f"{config.name}.safetensors"
    store.save(CodecNetwork(config), path)
    return path


@pytest.mark.parametrize("config", [CODEC, SEANET, COSINE], ids=lambda config: config.name)
def test_a_network_becomes_the_model_that_it_starts_from(
    tmp_path: Path, config: CodecConfig, segments: torch.Tensor
) -> None:
    """Also one with weight normalisation, which stored models do not have."""
    path = stored(tmp_path, config)
    torch.manual_seed(6)
    network = CodecNetwork(config).eval()
    start_from_weights(network, None, str(path))
    model, _ = store.load(path)
    for n in (1, 3):
        torch.testing.assert_close(
            network.reconstruct(segments[:2], n), model.reconstruct(segments[:2], n), rtol=1e-4, atol=1e-5
        )


def test_the_codebooks_averages_start_again_from_the_codebooks(tmp_path: Path) -> None:
    network = CodecNetwork(CODEC)
    start_from_weights(network, None, str(stored(tmp_path, CODEC)))
    stages = [part for part in network.quantizer.modules() if isinstance(part, EuclideanStage)]
    assert len(stages) == 3
    for stage in stages:
        assert torch.equal(stage.sums, stage.codebook)
        assert torch.equal(stage.usage, torch.ones(32))


def test_the_shipped_model_starts_by_its_name() -> None:
    config = store.read_config(shipped.resolve(None).with_suffix(".json"))
    network = CodecNetwork(config)
    start_from_weights(network, None, shipped.DEFAULT)
    model, _ = store.load(shipped.resolve(None))
    name = "stages.0.codebook"
    assert torch.equal(network.quantizer.state_dict()[name], model.quantizer.state_dict()[name])


def test_fine_tuning_takes_small_steps_from_the_model(tmp_path: Path) -> None:
    path = stored(tmp_path, CODEC)
    module = training(codec=dataclasses.replace(CODEC, name="tuned"), start_from=str(path))
    fit(module, 2)
    model, _ = store.load(path)
    before = model.state_dict()
    for name, weight in module.network.named_parameters():
        assert float((weight.detach() - before[name]).abs().max()) < 0.01, name
        assert not torch.equal(weight.detach(), before[name]) or "depthwise" in name or "norm" in name
    assert bool(module.started)


def test_a_checkpoint_brings_its_discriminators(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=2, filename="{step}")
    first = training(adversary=judged())
    fit(first, 2, callbacks=[saving])
    second = training(adversary=judged(), start_from=str(tmp_path / "step=2.ckpt"))
    assert first.adversary is not None
    assert second.adversary is not None
    start_from_weights(second.network, second.adversary, str(tmp_path / "step=2.ckpt"))
    for name, tensor in first.average.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], tensor), name
    for name, tensor in first.adversary.state_dict().items():
        assert torch.equal(second.adversary.state_dict()[name], tensor), name
    other = training(adversary=judged(period=PERIOD))
    assert other.adversary is not None
    fresh = {name: tensor.clone() for name, tensor in other.adversary.state_dict().items()}
    start_from_weights(other.network, other.adversary, str(tmp_path / "step=2.ckpt"))
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in other.adversary.state_dict().items())


def test_a_run_leaves_its_discriminators_beside_the_model(tmp_path: Path) -> None:
    first = training(adversary=judged())
    fit(first, 2, callbacks=[ExportModel(str(tmp_path))])
    second = training(adversary=judged())
    assert first.adversary is not None
    assert second.adversary is not None
    start_from_weights(second.network, second.adversary, str(tmp_path / "small.safetensors"))
    for name, tensor in first.adversary.state_dict().items():
        assert torch.equal(second.adversary.state_dict()[name], tensor.half().float()), name


def test_discriminators_of_other_sizes_start_afresh(tmp_path: Path) -> None:
    save_discriminators(Adversary(judged()), tmp_path / "a.safetensors")
    other = Adversary(judged(period=PERIOD))
    fresh = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    assert not load_discriminators(other, tmp_path / "a.safetensors")
    assert not load_discriminators(other, tmp_path / "b.safetensors")
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in other.state_dict().items())


def test_damaged_discriminators_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.discriminators").write_bytes(b"\x07" * 100)
    with pytest.raises(ModelError, match=r"a\.discriminators is damaged"):
        load_discriminators(Adversary(judged()), tmp_path / "a.safetensors")


def test_a_model_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path, CODEC)
    for changes, named in (
        ({"latent_dim": 24}, "codec.latent_dim is 16 there and 24 in this recipe"),
        ({"quantizer": COSINE.quantizer}, "lookup is euclidean there and cosine"),
    ):
        network = CodecNetwork(dataclasses.replace(CODEC, **changes))
        with pytest.raises(ModelError, match=named):
            start_from_weights(network, None, str(path))


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint at all", "weights"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "some.ckpt"
    if content == "weights":
        torch.save({"state_dict": {}}, path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ModelError, match="checkpoint"):
        start_from_weights(CodecNetwork(CODEC), None, str(path))


def test_a_model_that_does_not_exist_is_named() -> None:
    with pytest.raises(ModelError, match="nowhere"):
        start_from_weights(CodecNetwork(CODEC), None, "nowhere")


def test_codes_that_followed_averages_go_on_by_gradient(tmp_path: Path) -> None:
    source = stored(tmp_path, CODEC)
    by_gradient = dataclasses.replace(
        CODEC, quantizer=dataclasses.replace(QUANTIZER, lookup=EuclideanConfig(learning="gradient"))
    )
    network = CodecNetwork(by_gradient)
    start_from_weights(network, None, str(source))
    assert store.weights_hash(network) != store.load(source)[1], "the configuration is another one"
    for name, tensor in store.stored_tensors(store.load(source)[0]).items():
        assert torch.equal(network.state_dict()[name], tensor), name
