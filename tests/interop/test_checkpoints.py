"""Checkpoints in all their containers, and those that must not be loaded."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import codec
from codec.errors import CheckpointError
from codec.interop.checkpoints import fold, read_checkpoint
from codec.interop.detect import is_checkpoint
from tests.interop import peers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a small EnCodec."""
    folder = tmp_path_factory.mktemp("encodec")
    peers.hugging_face_encodec().save_pretrained(folder)
    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def as_bin(folder: Path, target: Path) -> None:
    torch.save(tensors_of(folder), target / "pytorch_model.bin")


def as_old_names(folder: Path, target: Path) -> None:
    """The names of weight normalisation before PyTorch 2."""
    old = {"original0": "weight_g", "original1": "weight_v"}
    renamed = {}
    for name, tensor in tensors_of(folder).items():
        head, _, last = name.rpartition(".parametrizations.weight.")
        renamed[f"{head}.{old[last]}" if head else name] = tensor
    torch.save(renamed, target / "pytorch_model.bin")


def as_shards(folder: Path, target: Path) -> None:
    tensors = tensors_of(folder)
    names = sorted(tensors)
    places = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        part = {name: tensors[name] for name in names if places[name] == file}
        safetensors.torch.save_file(part, target / file)
    (target / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def as_bin_shards(folder: Path, target: Path) -> None:
    places = {name: f"pytorch_model-{i % 2}.bin" for i, name in enumerate(tensors_of(folder))}
    for file in set(places.values()):
        torch.save({n: t for n, t in tensors_of(folder).items() if places[n] == file}, target / file)
    (target / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("store", [as_bin, as_old_names, as_shards, as_bin_shards])
def test_every_container_holds_the_same_model(
    folder: Path, store: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    store(folder, tmp_path)
    assert codec.load(tmp_path).weights_hash == codec.load(folder).weights_hash


def test_a_stored_model_is_not_taken_for_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    assert is_checkpoint(folder)
    assert is_checkpoint(str(folder / "model.safetensors"))
    assert is_checkpoint("hf:facebook/encodec_24khz")
    weights = codec.shipped.resolve(None)
    assert not is_checkpoint(weights)
    assert not is_checkpoint(weights.parent)
    assert not is_checkpoint(tmp_path)
    assert not is_checkpoint("no-such.th")


class Opens:
    """A pickle of it writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".th", ".pth", ".bin", ".pt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, suffix: str, zipped: bool
) -> None:
    evil, path = tmp_path / "evil", tmp_path / f"model{suffix}"
    torch.save({"state_dict": {"a": Opens(evil)}}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="refused"):
        codec.load(path)
    path.write_bytes(pickle.dumps({"best_state": Opens(evil)}))
    with pytest.raises(CheckpointError):
        codec.load(path)
    assert not evil.exists()


def test_that_code_would_have_run(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    torch.save({"state_dict": {"a": Opens(tmp_path / "evil")}}, tmp_path / "model.th")
    torch.load(tmp_path / "model.th", weights_only=False)
    assert (tmp_path / "evil").exists()


def test_missing_and_unexpected_tensors_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    tensors = tensors_of(folder)
    lost = "encoder.layers.3.conv.bias"
    safetensors.torch.save_file(
        {n: t for n, t in tensors.items() if n != lost}, tmp_path / "model.safetensors"
    )
    with pytest.raises(CheckpointError, match=f"lacks {lost}"):
        codec.load(tmp_path)
    extra = {"decoder.layers.99.conv.bias": torch.zeros(1)}
    safetensors.torch.save_file(tensors | extra, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"unexpected decoder\.layers\.99\.conv\.bias"):
        codec.load(tmp_path)
    safetensors.torch.save_file({**tensors, lost: torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"bias is \(3,\), not"):
        codec.load(tmp_path)
    safetensors.torch.save_file({**tensors, lost: tensors[lost] / 0}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="not finite"):
        codec.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.th", b"", "refused|not a checkpoint"),
        ("a.th", b"PK\x03\x04 not a zip", "refused|not a checkpoint"),
        ("a.safetensors", b"\x00" * 100, "not a safetensors"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        codec.load(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.th"
    torch.save(peers.official_encodec(stereo=False).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError):
        codec.load(path)


def test_other_models_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "a.th")
    with pytest.raises(CheckpointError, match=r"of no kind .* EnCodec, DAC, SNAC"):
        codec.load(tmp_path / "a.th")
    torch.save([1, 2], tmp_path / "a.th")
    with pytest.raises(CheckpointError, match="no state dict"):
        codec.load(tmp_path / "a.th")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_mode": "circular"}, "circular"),
        ({"norm_type": "batch"}, "batch"),
        ({"upsampling_ratios": "many"}, "ratios"),
        ({"num_filters": "4"}, "num_filters"),
        ({"trim_right_ratio": 0.5}, "left"),
        ({"compress": 0}, "compress"),
        ({"num_residual_layers": 3}, "lacks"),
        ({"model_type": "wavlm"}, "of no kind"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(
    folder: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=message):
        codec.load(tmp_path)


def test_shards_stay_in_their_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    places = {"weight_map": {"a": "../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(places))
    with pytest.raises(CheckpointError, match="outside"):
        codec.load(tmp_path)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no weights"):
        codec.load(tmp_path)


def test_folding_is_what_weight_normalisation_computes() -> None:
    torch.manual_seed(0)
    for layer in (torch.nn.Conv1d(3, 5, 7), torch.nn.ConvTranspose1d(3, 5, 4)):
        normed = torch.nn.utils.parametrizations.weight_norm(layer, dim=0)
        names = {"c.weight_g": "original0", "c.weight_v": "original1"}
        parts = {k: getattr(normed.parametrizations.weight, v).detach() * 2 for k, v in names.items()}
        expected = 2 * normed.weight.detach()  # twice as long; the direction's length does not matter
        torch.testing.assert_close(fold(parts)["c.weight"], expected, rtol=1e-6, atol=1e-7)


AUDIOCRAFT = """
sample_rate: 32000
channels: 1
encodec: {autoencoder: seanet, quantizer: rvq, sample_rate: '${sample_rate}', renormalize: false}
seanet:
  dimension: 16
  channels: ${channels}
  causal: false
  n_filters: 4
  n_residual_layers: 1
  ratios: [8, 5, 4, 4]
  activation: ELU
  norm: weight_norm
  kernel_size: 7
  residual_kernel_size: 3
  last_kernel_size: 7
  dilation_base: 2
  pad_mode: constant
  true_skip: true
  compress: 2
  lstm: 2
  decoder: {trim_right_ratio: 1.0, final_activation: null}
"""


def audiocraft(path: Path, config: str = AUDIOCRAFT) -> Any:
    """AudioCraft's export of a small model with the sizes of its 32 kHz one, and the peer in it."""
    from encodec.modules import SEANetDecoder, SEANetEncoder
    from encodec.quantization import ResidualVectorQuantizer

    torch.manual_seed(5)
    sizes: dict[str, Any] = {"dimension": 16, "n_filters": 4, "ratios": [8, 5, 4, 4], "true_skip": True}
    model: Any = torch.nn.Module()
    model.encoder = SEANetEncoder(**sizes, pad_mode="constant")
    model.decoder = SEANetDecoder(**sizes, pad_mode="constant")
    model.quantizer = ResidualVectorQuantizer(dimension=16, n_q=4, bins=64)
    latents = peers.enliven(model)
    peers.place_codes([layer._codebook.embed for layer in model.quantizer.vq.layers], latents)
    for layer in model.quantizer.vq.layers:
        layer._codebook.inited.fill_(1)
    exported = {
        "best_state": {"model": model.state_dict()},
        "xp.cfg": config,
        "version": "1",
        "exported": True,
    }
    torch.save(exported, path)
    return model.eval()


def test_audiocraft_exports_are_read_with_their_configuration(tmp_path: Path) -> None:
    theirs = audiocraft(tmp_path / "a.bin")
    exact = peers.exact(theirs)
    model, x = codec.load(tmp_path / "a.bin"), peers.audio(7000)
    assert (model.name, model.sample_rate, model.hop_length) == ("encodec_32khz", 32000, 640)
    with torch.no_grad():
        latents = exact.encoder(torch.from_numpy(x).double())
        codes = exact.quantizer.encode(latents, 50).transpose(0, 1)
        made = theirs.decoder(theirs.quantizer.decode(codes.transpose(0, 1)))
    tokens = model.encode(x[0], 32000)
    np.testing.assert_array_equal(tokens.codes, codes.numpy())
    np.testing.assert_allclose(model.decode(tokens), made[0, :, :7000], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ELU", "Snake"), "Snake"),
        (("quantizer: rvq", "quantizer: no_quant"), "no_quant"),
        (("n_filters: 4", "n_filters: four"), "n_filters"),
        (("channels: ${channels}", "channels: ${channels.of}"), "channels"),
        (("seanet:", "seanet: ["), "cannot be read"),
    ],
)
def test_audiocraft_configurations_that_are_not_known_are_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    audiocraft(tmp_path / "a.bin", AUDIOCRAFT.replace(*change))
    with pytest.raises(CheckpointError, match=message):
        codec.load(tmp_path / "a.bin")


def test_an_official_file_of_other_sizes_tells_too_little(tmp_path: Path) -> None:
    from encodec.modules import SEANetEncoder

    stereo = {f"encoder.{k}": v for k, v in SEANetEncoder(channels=2, n_filters=4).state_dict().items()}
    codes = {"quantizer.vq.layers.0._codebook.embed": torch.zeros(16, 128)}
    torch.save(stereo | codes, tmp_path / "a.th")
    with pytest.raises(CheckpointError, match="neither of the official models"):
        codec.load(tmp_path / "a.th")


def test_what_a_folder_says_besides_its_tensors_is_kept(folder: Path, tmp_path: Path) -> None:
    assert read_checkpoint(folder).config["model_type"] == "encodec"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "metadata": {"x": 1}}, tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth")
    assert found.extra == {"metadata": {"x": 1}}
