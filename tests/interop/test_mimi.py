"""Mimi: our model against `transformers.MimiModel` with random weights, streams, and names of checkpoints."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import MimiConfig, MimiModel

import codec
from codec import tokenfile
from codec.codec import Codec
from codec.errors import CheckpointError
from codec.evaluation.systems import model_systems
from codec.export import export
from codec.interop.detect import load_network
from codec.interop.importing import import_checkpoint
from codec.models.config import MimiConfig as OurConfig
from codec.runtime import OnnxEngine
from codec.torch_engine import TorchEngine, torch_codec
from tests.interop.peers import audio

# Ends of recordings in every place of a frame of 1920 samples, and long ones.
LENGTHS = (1, 4, 959, 960, 961, 1919, 1920, 1921, 2881, 20_003, 100_000)
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_filters": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "codebook_size": 64,
    "codebook_dim": 16,
    "vector_quantization_hidden_dimension": 16,
    "num_quantizers": 32,
    "upsample_groups": 32,
    "sliding_window": 20,
}


@torch.no_grad()
def peer_model() -> MimiModel:
    """A narrow MimiModel whose weights carry a signal, whose transformers matter, and whose codes vary."""
    torch.manual_seed(6)
    model = MimiModel(MimiConfig(**SIZES)).eval()
    for name, parameter in model.named_parameters():
        if "layer_scale" in name:
            parameter.uniform_(0.3, 0.6)
        elif "seanet" in name and name.endswith("conv.weight"):
            parameter.mul_(1.5)
    latents = model.encoder(torch.from_numpy(audio(96_000))).latents
    for half in (
        model.quantizer.semantic_residual_vector_quantizer,
        model.quantizer.acoustic_residual_vector_quantizer,
    ):
        inside = half.input_proj(latents)
        for stage, layer in enumerate(half.layers):
            size = layer.codebook.embed_sum.shape
            spread = inside.std(2)[0] * 0.8**stage
            codes = torch.randn(size) * spread + (inside.mean(2)[0] if stage == 0 else 0)
            usage = torch.rand(size[0]) * 3
            layer.codebook.embed_sum.copy_(codes * usage.clamp(min=1e-5)[:, None])
            layer.codebook.cluster_usage.copy_(usage)
            layer.codebook._embed = None
    # As loud as audio is.
    last = model.decoder.decoder_seanet.layers[-1].conv
    loud = model.decoder(latents).audio_values.std() / 0.1
    last.weight.div_(loud)
    last.bias.div_(loud)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mimi")
    peer_model().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def peer(folder: Path) -> MimiModel:
    return MimiModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def exact(peer: MimiModel) -> MimiModel:
    """The peer in float64: in float32 its rounding decides a close call in one of some thousand frames."""
    return copy.deepcopy(peer).double()


def graphs(checkpoint: Path, target: Path) -> Path:
    """A folder with the graphs of a checkpoint's model."""
    export(import_checkpoint(checkpoint, target / "model").weights, target / "graphs")
    return target / "graphs"


@pytest.fixture(scope="module", params=["torch", "onnx"])
def ours(request: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """Computed by PyTorch, or by the graphs that were made of it."""
    if request.param == "torch":
        return codec.load(folder)
    return codec.load(graphs(folder, tmp_path_factory.mktemp("exported")), runtime="onnx")


@pytest.mark.parametrize("samples", LENGTHS)
def test_codes_and_waveforms_are_the_peer_s_at_every_length(
    peer: MimiModel, exact: MimiModel, ours: Codec, samples: int
) -> None:
    for batch, codebooks in ((1, 32), (3, 8)):
        x = audio(samples, batch=batch)
        with torch.no_grad():
            codes = exact.encode(torch.from_numpy(x).double(), num_quantizers=codebooks).audio_codes
        tokens = ours.encode(x[:, 0], 24_000, codebooks=codebooks)
        # The peer measures distances in float32 whatever its type: rounding decides a close call, and not
        # alike on all processors.
        assert (tokens.codes != codes.numpy()).any(axis=1).sum() <= 1
        with torch.no_grad():
            made = peer.decode(torch.from_numpy(tokens.codes.astype(np.int64)))
        wave = made.audio_values[:, 0, :samples]
        assert np.abs(ours.decode(tokens) - wave.numpy()).max() < 1e-5


@pytest.mark.parametrize("codebooks", [1, 2, 16])
def test_codes_and_waveforms_are_the_peer_s_with_few_codebooks(
    peer: MimiModel, exact: MimiModel, ours: Codec, codebooks: int
) -> None:
    x = audio(30_000)
    with torch.no_grad():
        codes = exact.encode(torch.from_numpy(x).double(), num_quantizers=codebooks).audio_codes
        wave = peer.decode(codes).audio_values[0, :, :30_000]
    tokens = ours.encode(x[0], 24_000, codebooks=codebooks)
    assert np.array_equal(tokens.codes, codes.numpy())
    assert len(np.unique(tokens.codes[0, 0])) > 5  # the comparison would mean little with constant codes
    assert np.abs(ours.decode(tokens) - wave.numpy()).max() < 1e-5


def test_trimmed_tokens_are_those_of_fewer_codebooks(ours: Codec, tmp_path: Path) -> None:
    x = audio(10_000)[0]
    tokens = ours.encode(x, 24_000)
    assert tokens.at(codebooks=8) == ours.encode(x, 24_000, codebooks=8)
    assert ours.frame_rate == 12.5
    tokenfile.write(tmp_path / "a.cdc", tokens)
    tokenfile.trim(tmp_path / "a.cdc", tmp_path / "b.cdc", 8)
    trimmed = tokenfile.read(tmp_path / "b.cdc")
    assert trimmed == tokens.at(codebooks=8)
    assert ours.decode(trimmed).shape == x.shape


@pytest.mark.parametrize("sizes", [(1920,), (7, 1000, 1913, 40_000), (12_345,)])
def test_streams_give_the_codes_and_the_audio_of_whole_recordings(
    ours: Codec, sizes: tuple[int, ...]
) -> None:
    # 52 frames and a part of one: the transformers' windows of 20 half frames slide over it several times.
    x = audio(100_000)[0]
    tokens = ours.encode(x, 24_000, codebooks=8)
    encoder = ours.stream_encoder(codebooks=8)
    parts, at, number = [], 0, 0
    while at < x.shape[1]:
        size = sizes[number % len(sizes)]
        parts.append(encoder.push(x[:, at : at + size]))
        at, number = at + size, number + 1
    codes = np.concatenate([*parts, encoder.flush()], axis=2)
    assert np.array_equal(codes, tokens.codes)
    decoder = ours.stream_decoder(n_samples=100_000, codebook_sizes=tokens.codebook_sizes)
    heard = [decoder.push(codes[..., first : first + 3]) for first in range(0, codes.shape[2], 3)]
    heard.append(decoder.flush())
    assert np.abs(np.concatenate(heard, axis=1) - ours.decode(tokens)).max() < 1e-5


def test_a_batch_of_recordings_has_the_codes_of_each_alone(ours: Codec) -> None:
    clips = [audio(samples)[0] for samples in (5000, 1, 1920, 12_000)]
    together = ours.encode_batch(clips, 24_000, codebooks=8)
    assert together == [ours.encode(clip, 24_000, codebooks=8) for clip in clips]


def test_an_imported_model_is_the_same_model(folder: Path, ours: Codec, tmp_path: Path) -> None:
    made = import_checkpoint(folder, tmp_path)
    assert made.weights.name == "mimi.safetensors"
    model, x = codec.load(made.weights), audio(9_000)[0]
    assert model.weights_hash == ours.weights_hash
    tokens = model.encode(x, 24_000)
    assert np.array_equal(tokens.codes, ours.encode(x, 24_000).codes)
    assert np.abs(model.decode(tokens) - ours.decode(tokens)).max() < 1e-5


def test_a_step_of_training_reaches_every_weight(folder: Path) -> None:
    network = load_network(folder).train()
    out = network(torch.from_numpy(audio(20_000, batch=2)))
    assert out.audio.shape == (2, 1, 20_000)
    (out.audio.square().mean() + out.loss).backward()
    still = [
        name
        for name, part in network.named_parameters()
        if part.grad is None or not part.grad.isfinite().all() or not part.grad.any()
    ]
    assert still == []


def test_it_can_be_evaluated(folder: Path, speech: np.ndarray, tmp_path: Path) -> None:
    # 6 bits, 12.5 times a second, for each codebook.
    (system,) = model_systems([str(folder)], [0.15, 0.6])
    found = list(system.code(speech[None, :16_000], 16_000, str(tmp_path)))
    assert [item.kbps for item in found] == [0.15, 0.6]
    for item in found:
        assert item.audio is not None
        assert item.audio.shape == (1, 16_000)


def kyutai_names(folder: Path) -> dict[str, torch.Tensor]:
    """The checkpoint of the folder with the names and the layout of Kyutai's own."""
    found: dict[str, torch.Tensor] = {}
    saved = load_file(folder / "model.safetensors")
    heads, size = SIZES["num_attention_heads"], SIZES["hidden_size"]
    for name, tensor in saved.items():
        if name.startswith("quantizer"):
            for ours, theirs in (
                ("semantic_residual_vector_quantizer", "rvq_first"),
                ("acoustic_residual_vector_quantizer", "rvq_rest"),
                (".layers.", ".vq.layers."),
                (".codebook.", "._codebook."),
                ("embed_sum", "embedding_sum"),
                ("initialized", "_initialized"),
            ):
                name = name.replace(ours, theirs)
        elif "transformer" in name:
            for ours, theirs in (
                ("_transformer.layers", "_transformer.transformer.layers"),
                ("input_layernorm", "norm1"),
                ("post_attention_layernorm", "norm2"),
                ("mlp.fc1", "linear1"),
                ("mlp.fc2", "linear2"),
                ("self_attn_layer_scale", "layer_scale_1"),
                ("mlp_layer_scale", "layer_scale_2"),
                ("o_proj", "out_projs.0"),
            ):
                name = name.replace(ours, theirs)
            if "q_proj" in name or "k_proj" in name:
                tensor = tensor.view(heads, 2, size // heads // 2, size).transpose(1, 2).reshape(size, size)
        elif name.startswith("downsample"):
            name = name.replace("conv", "conv.conv.conv")
        elif name.startswith("upsample"):
            name = name.replace("conv", "convtr.convtr.convtr")
        else:
            number = int(name.split(".")[2])
            up = name.startswith("decoder") and number % 3 == 2 and 0 < number < 13
            kind = "convtr" if up else "conv"
            name = name.replace(".layers.", ".model.").replace(".conv.", f".{kind}.{kind}.")
        found[name] = tensor.contiguous()
    for half in ("encoder", "decoder"):
        for layer in range(SIZES["num_hidden_layers"]):
            place = f"{half}_transformer.transformer.layers.{layer}.self_attn"
            parts = [found.pop(f"{place}.{kind}_proj.weight") for kind in "qkv"]
            found[f"{place}.in_projs.0.weight"] = torch.cat(parts)
    return found


def test_kyutai_s_names_mean_the_same_weights(folder: Path, tmp_path: Path) -> None:
    # Kyutai's own file does not say that it has 8 heads, since it always has.
    tensors = kyutai_names(folder)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4, "sliding_window": 20}))
    ours, same = load_network(folder), load_network(tmp_path)
    assert ours.config == same.config
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name]), name


def test_kyutai_s_file_fills_up_the_last_frame_with_silence(folder: Path, tmp_path: Path) -> None:
    save_file(kyutai_names(folder), tmp_path / "tokenizer.safetensors")
    network = load_network(tmp_path / "tokenizer.safetensors")
    assert isinstance(network.config.network, OurConfig)
    assert network.config.network.seanet.padding == "zeros"
    assert network.config.network.transformer.heads == 8
    model = torch_codec(network, "0" * 16)
    x = audio(3000)[0]
    filled = np.pad(x, ((0, 0), (0, 840)))
    assert np.array_equal(model.encode(x, 24_000).codes, model.encode(filled, 24_000).codes)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_streams_that_begin_at_different_times_share_a_batch(
    folder: Path, tmp_path: Path, runtime: str
) -> None:
    save_file(kyutai_names(folder), tmp_path / "tokenizer.safetensors")
    model = codec.load(tmp_path / "tokenizer.safetensors")
    if runtime == "onnx":
        model = codec.load(graphs(tmp_path / "tokenizer.safetensors", tmp_path), runtime="onnx")
    assert isinstance(model.engine, TorchEngine | OnnxEngine)
    sizes = model.codebook_sizes[:8]
    encoder, decoder = model.engine.row_encoder(sizes), model.engine.row_decoder()
    decoding = model.engine.decoding(sizes)
    clips = [audio(samples)[0, 0] for samples in (1920 * 6, 1920 * 4)]
    found: list[list[np.ndarray]] = [[], []]
    heard: list[list[np.ndarray]] = [[], []]
    states: list[Any] = [None, None]
    voices: list[Any] = [None, None]
    for frame in range(6):
        # The second stream begins two frames after the first.
        rows = [0] if frame < 2 else [0, 1]
        first = [1920 * (frame - 2 * row) for row in rows]
        block = np.stack([clips[row][at : at + 1920] for row, at in zip(rows, first, strict=True)])
        codes, after = encoder.step(block, [states[row] for row in rows])
        waves, voiced = decoder.step(decoding.latents(codes), [voices[row] for row in rows])
        for place, row in enumerate(rows):
            found[row].append(codes[place])
            heard[row].append(waves[place])
            states[row], voices[row] = after[place], voiced[place]
    for clip, parts, played in zip(clips, found, heard, strict=True):
        tokens = model.encode(clip, 24_000, codebooks=8)
        assert np.array_equal(np.concatenate(parts, axis=1), tokens.codes[0])
        assert np.abs(np.concatenate(played) - model.decode(tokens)[0]).max() < 1e-5


def test_names_of_transformers_5_mean_the_same_weights(folder: Path, peer: MimiModel, tmp_path: Path) -> None:
    tensors = {name: part.contiguous() for name, part in peer.state_dict().items()}
    assert "encoder.encoder_seanet.layers.0.conv.weight" in tensors
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    ours, same = load_network(folder), load_network(tmp_path)
    assert ours.config == same.config
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name]), name


@pytest.mark.parametrize("missing", ["downsample.conv.weight", "decoder_transformer.layers.1.mlp.fc1.weight"])
def test_a_missing_tensor_is_named(folder: Path, tmp_path: Path, missing: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors[missing]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(
        CheckpointError, match=r"lacks (en|de)coder\.(downsample|transformer\.layers\.1\.expand)"
    ):
        load_network(tmp_path)


def test_an_unexpected_tensor_is_named(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors") | {"encoder.extra": torch.zeros(1)}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"unexpected encoder\.extra"):
        load_network(tmp_path)
