"""SEANet models of this package as folders that `transformers.EncodecModel.from_pretrained` loads.

Recordings of whole frames have the same codes and waveforms there. Others do not in their last frame: here
the audio is filled up with silence, and there every layer fills up its own input; fill up the audio first.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from codec.errors import ModelError, OutputError
from codec.interop.encodec import hugging_face_name
from codec.models import store
from codec.models.config import CodecConfig, SeanetConfig
from codec.models.network import CodecNetwork
from codec.quantize.config import EuclideanConfig, ResidualConfig


def export(network: CodecNetwork, folder: Path) -> Path:
    """Writes config.json, preprocessor_config.json and model.safetensors; returns the last one's path.

    Args:
        network: with folded weights, as it was loaded.

    Raises:
        ModelError: a model that `EncodecModel` cannot express.
        OutputError: the folder cannot be written.
    """
    config = network.config
    content = configuration(config)
    tensors = _tensors(network)
    path = folder / "model.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        store.replace_file(folder / "config.json", _text(content))
        store.replace_file(folder / "preprocessor_config.json", _text(_preprocessor(content)))
        store.replace_file(path, safetensors.torch.save(tensors, {"format": "pt"}))
    except OSError as error:
        raise OutputError(f"The model cannot be written to {folder}: {error.strerror}.") from error
    return path


def configuration(config: CodecConfig) -> dict[str, Any]:
    """The content of config.json; raises ModelError for a model that `EncodecModel` cannot express."""
    network, quantizer = config.network, config.quantizer
    if not isinstance(network, SeanetConfig):
        raise ModelError(f"{config.name} is no SEANet, which is all that EncodecModel knows.")
    if not isinstance(quantizer, ResidualConfig) or not isinstance(quantizer.lookup, EuclideanConfig):
        raise ModelError(f"{config.name} has another quantizer than EncodecModel: residual, euclidean.")
    if network.lstm_layers == 0:
        raise ModelError(
            f"{config.name} has no recurrent layers, without which EncodecModel cannot be built."
        )
    bits = math.log2(quantizer.codebook_size)
    if bits != int(bits):
        raise ModelError(f"EncodecModel needs codebooks of a power of two, not {quantizer.codebook_size}.")
    return {
        "architectures": ["EncodecModel"],
        "model_type": "encodec",
        "target_bandwidths": _bandwidths(config, int(bits)),
        "sampling_rate": config.sample_rate,
        "audio_channels": network.audio_channels,
        "hidden_size": config.latent_dim,
        "num_filters": network.channels,
        "num_residual_layers": network.residual_layers,
        "upsampling_ratios": list(network.ratios),
        "norm_type": "weight_norm" if network.norm == "weight" else "time_group_norm",
        "kernel_size": network.kernel_size,
        "last_kernel_size": network.last_kernel_size,
        "residual_kernel_size": network.residual_kernel_size,
        "dilation_growth_rate": network.dilation_base,
        "use_causal_conv": network.causal,
        "pad_mode": "reflect" if network.padding == "reflect" else "constant",
        "compress": network.compress,
        "num_lstm_layers": network.lstm_layers,
        "trim_right_ratio": 1.0,
        "codebook_size": quantizer.codebook_size,
        "codebook_dim": config.latent_dim,
        "use_conv_shortcut": network.conv_shortcut,
        "torch_dtype": "float32",
        **_segments(config),
    }


def _tensors(network: CodecNetwork) -> dict[str, torch.Tensor]:
    config = network.config.network
    normalised = isinstance(config, SeanetConfig) and config.norm == "weight"
    found: dict[str, torch.Tensor] = {}
    for name, tensor in store.stored_tensors(network).items():
        theirs, value = hugging_face_name(name), tensor.detach().to("cpu", torch.float32).contiguous()
        if theirs.endswith(".embed"):
            base = theirs.removesuffix("embed")
            found[f"{base}inited"] = torch.ones(1)
            found[f"{base}cluster_size"] = torch.ones(len(value))
            found[f"{base}embed_avg"] = value.clone()
        if normalised and theirs.endswith(".conv.weight"):
            base = theirs.removesuffix("weight") + "parametrizations.weight.original"
            found[f"{base}0"], found[f"{base}1"] = value.norm(dim=(1, 2), keepdim=True), value
        else:
            found[theirs] = value
    return found


def _bandwidths(config: CodecConfig, bits: int) -> list[float]:
    """kbps of 1, 2, ... codebooks, which `EncodecModel` divides and rounds down to find their number."""
    per_codebook = bits * math.ceil(config.sample_rate / config.hop_length)
    found = []
    for count in range(1, 1 + len(config.quantizer.codebook_sizes)):
        bandwidth = count * per_codebook / 1000
        while 1000 * bandwidth // per_codebook < count:
            bandwidth = math.nextafter(bandwidth, math.inf)
        found.append(bandwidth)
    return found


def _segments(config: CodecConfig) -> dict[str, Any]:
    segments = config.segments
    if segments is None or segments.length == 0:
        return {
            "normalize": segments is not None and segments.normalize,
            "chunk_length_s": None,
            "overlap": None,
        }
    overlap = round(1 - segments.step / segments.length, 9)
    if int((1.0 - overlap) * segments.length) != segments.step:
        raise ModelError(
            f"EncodecModel cannot express segments of {segments.length} samples every {segments.step}."
        )
    return {
        "normalize": segments.normalize,
        "chunk_length_s": segments.length / config.sample_rate,
        "overlap": overlap,
    }


def _preprocessor(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "feature_extractor_type": "EncodecFeatureExtractor",
        "feature_size": content["audio_channels"],
        "sampling_rate": content["sampling_rate"],
        "chunk_length_s": content["chunk_length_s"],
        "overlap": content["overlap"],
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def _text(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
