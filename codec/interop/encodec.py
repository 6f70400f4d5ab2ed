"""EnCodec (Défossez et al. 2022) from its official files, AudioCraft's, and Hugging Face's `EncodecModel`.

The three have the same layers under other names:

    official, AudioCraft                     Hugging Face                       here
    encoder.model.N.conv.conv.weight         encoder.layers.N.conv.weight       encoder.model.layers.N.conv...
    decoder.model.N.convtr.convtr.weight     decoder.layers.N.conv.weight       decoder.model.layers.N.conv...
    encoder.model.N.conv.norm.weight         encoder.layers.N.norm.weight       encoder.model.layers.N.norm...
    quantizer.vq.layers.N._codebook.embed    quantizer.layers.N.codebook.embed  quantizer.stages.N.codebook
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar, cast

import torch

from codec.errors import CheckpointError
from codec.interop.checkpoints import Checkpoint, count, fit, setting, shape_of
from codec.models.config import CodecConfig, SeanetConfig, SegmentsConfig
from codec.nn.padding import Padding
from codec.quantize.config import ResidualConfig

# Averages of the codebooks, which training starts anew from the codes.
_IGNORED = r"quantizer\.(vq\.)?layers\.\d+\._?codebook\.(inited|cluster_size|embed_avg)"
# Of AudioCraft's configuration what there is one way for here.
_ONLY = {
    "encodec.autoencoder": "seanet",
    "encodec.quantizer": "rvq",
    "seanet.activation": "ELU",
    "seanet.decoder.final_activation": None,
    "seanet.decoder.trim_right_ratio": 1.0,
}

T = TypeVar("T")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is an EnCodec."""
    if "model_type" in checkpoint.config:
        return checkpoint.config["model_type"] == "encodec"
    names = checkpoint.tensors
    return "quantizer.vq.layers.0._codebook.embed" in names and "encoder.model.0.conv.conv.weight" in names


def configuration(checkpoint: Checkpoint) -> CodecConfig:
    """The model: from config.json, AudioCraft's configuration, or the shapes of the official two."""
    if checkpoint.config:
        return _of_hugging_face(checkpoint)
    if "xp.cfg" in checkpoint.extra:
        return _of_audiocraft(checkpoint)
    return _of_official(checkpoint)


def weights(checkpoint: Checkpoint, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, by the names here."""
    if checkpoint.config:
        return fit(wanted, checkpoint, hugging_face_name, _IGNORED)
    network = configuration(checkpoint).network
    assert isinstance(network, SeanetConfig)
    return fit(wanted, checkpoint, partial(_official_name, upsampling=_upsampling(network)), _IGNORED)


def hugging_face_name(name: str) -> str:
    """What Hugging Face calls the tensor that has a name here."""
    name = re.sub(r"^(encoder|decoder)\.model\.", r"\1.", name).replace(".block.layers.", ".block.")
    return re.sub(r"^quantizer\.stages\.(\d+)\.codebook$", r"quantizer.layers.\1.codebook.embed", name)


def _official_name(name: str, upsampling: frozenset[str]) -> str:
    name = name.replace(".block.layers.", ".block.").replace(".model.layers.", ".model.")
    name = re.sub(r"^quantizer\.stages\.(\d+)\.codebook$", r"quantizer.vq.layers.\1._codebook.embed", name)
    layer, _, part = name.rpartition(".conv." if ".conv." in name else ".norm.")
    if not layer:
        return name
    kind = "convtr" if layer in upsampling else "conv"
    return f"{layer}.{kind}.{kind if '.conv.' in name else 'norm'}.{part}"


def _upsampling(network: SeanetConfig) -> frozenset[str]:
    """The official names of the layers that are transposed convolutions."""
    first, each = 2 + (network.lstm_layers > 0), 2 + network.residual_layers
    return frozenset(f"decoder.model.{first + each * i}" for i in range(len(network.ratios)))


def _of_hugging_face(checkpoint: Checkpoint) -> CodecConfig:
    def option(key: str, default: T) -> T:
        return setting(checkpoint, key, type(default)) if key in checkpoint.config else default

    rate, length = option("sampling_rate", 24000), checkpoint.config.get("chunk_length_s")
    normalize = option("normalize", False)
    segments = None
    if length is not None:
        overlap = float(setting(checkpoint, "overlap", (int, float)))
        samples = int(length * rate)
        segments = SegmentsConfig(length=samples, step=max(1, int((1.0 - overlap) * samples)))
    if normalize:
        segments = replace(segments or SegmentsConfig(), normalize=True)
    if checkpoint.config.get("trim_right_ratio", 1.0) != 1.0:
        raise CheckpointError(f"{checkpoint.where} trims transposed convolutions on the left: not supported.")
    network = SeanetConfig(
        channels=option("num_filters", 32),
        ratios=_ratios(checkpoint, checkpoint.config.get("upsampling_ratios", [8, 5, 4, 2])),
        kernel_size=option("kernel_size", 7),
        last_kernel_size=option("last_kernel_size", 7),
        residual_kernel_size=option("residual_kernel_size", 3),
        residual_layers=option("num_residual_layers", 1),
        dilation_base=option("dilation_growth_rate", 2),
        compress=option("compress", 2),
        lstm_layers=option("num_lstm_layers", 2),
        conv_shortcut=option("use_conv_shortcut", True),
        audio_channels=option("audio_channels", 1),
        causal=option("use_causal_conv", True),
        padding=_padding(checkpoint, option("pad_mode", "reflect")),
        norm=_norm(checkpoint, option("norm_type", "weight_norm")),
    )
    bins, _ = shape_of(checkpoint, "quantizer.layers.0.codebook.embed")
    stages = count(checkpoint.tensors, r"quantizer\.layers\.(\d+)\.")
    return _codec(rate, option("hidden_size", 128), network, stages, bins, segments)


def _of_audiocraft(checkpoint: Checkpoint) -> CodecConfig:
    config = _audiocraft_yaml(checkpoint)

    def value(path: str, kind: type[T]) -> T:
        found = _lookup(config, path)
        if not isinstance(found, kind) or isinstance(found, bool) != (kind is bool):
            raise CheckpointError(f"The configuration in {checkpoint.where} has no proper {path}: {found!r}.")
        return found

    for path, only in _ONLY.items():
        found = _lookup(config, path)
        if found not in (None, only):
            raise CheckpointError(f"{checkpoint.where} has {path} {found!r}; only {only!r} can be imported.")
    network = SeanetConfig(
        channels=value("seanet.n_filters", int),
        ratios=_ratios(checkpoint, value("seanet.ratios", list)),
        kernel_size=value("seanet.kernel_size", int),
        last_kernel_size=value("seanet.last_kernel_size", int),
        residual_kernel_size=value("seanet.residual_kernel_size", int),
        residual_layers=value("seanet.n_residual_layers", int),
        dilation_base=value("seanet.dilation_base", int),
        compress=value("seanet.compress", int),
        lstm_layers=value("seanet.lstm", int),
        conv_shortcut=not value("seanet.true_skip", bool),
        audio_channels=value("seanet.channels", int),
        causal=value("seanet.causal", bool),
        padding=_padding(checkpoint, value("seanet.pad_mode", str)),
        norm=_norm(checkpoint, value("seanet.norm", str)),
    )
    segments = SegmentsConfig(normalize=True) if _lookup(config, "encodec.renormalize") else None
    bins, dim = shape_of(checkpoint, "quantizer.vq.layers.0._codebook.embed")
    stages = count(checkpoint.tensors, r"quantizer\.vq\.layers\.(\d+)\.")
    return _codec(value("sample_rate", int), dim, network, stages, bins, segments)


def _of_official(checkpoint: Checkpoint) -> CodecConfig:
    names = checkpoint.tensors.keys()
    top = sorted(
        int(match[1])
        for name in names
        if (match := re.fullmatch(r"encoder\.model\.(\d+)\.conv\.conv\.weight", name))
    )
    shapes = [shape_of(checkpoint, f"encoder.model.{layer}.conv.conv.weight") for layer in top]
    ratios = tuple(shape[2] // 2 for shape in reversed(shapes[1:-1]))
    units = count(names, r"encoder\.model\.(\d+)\.block\.")
    hidden, channels, kernel = shape_of(checkpoint, "encoder.model.1.block.1.conv.conv.weight")
    stereo = shapes[0][1] > 1
    network = SeanetConfig(
        channels=channels,
        ratios=ratios,
        kernel_size=shapes[0][2],
        last_kernel_size=shapes[-1][2],
        residual_kernel_size=kernel,
        residual_layers=units // max(1, len(ratios)),
        compress=channels // hidden,
        lstm_layers=count(names, r"encoder\.model\.\d+\.lstm\.weight_ih_l(\d+)"),
        conv_shortcut="encoder.model.1.shortcut.conv.conv.weight" in names,
        audio_channels=shapes[0][1],
        causal=not stereo,
        padding="reflect",
        norm="group" if "encoder.model.0.conv.norm.weight" in names else "weight",
    )
    if (network.norm == "group") != stereo:
        raise CheckpointError(
            f"{checkpoint.where} is neither of the official models (24 kHz mono, 48 kHz stereo), and a file "
            "without a configuration does not tell what other models are: import a Hugging Face folder."
        )
    bins, dim = shape_of(checkpoint, "quantizer.vq.layers.0._codebook.embed")
    stages = count(names, r"quantizer\.vq\.layers\.(\d+)\.")
    segments = SegmentsConfig(length=48000, step=47520, normalize=True) if stereo else None
    return _codec(48000 if stereo else 24000, dim, network, stages, bins, segments)


def _codec(
    rate: int, dim: int, network: SeanetConfig, stages: int, bins: int, segments: SegmentsConfig | None
) -> CodecConfig:
    return CodecConfig(
        name=f"encodec_{rate // 1000}khz",
        sample_rate=rate,
        hop_length=math.prod(network.ratios),
        latent_dim=dim,
        network=network,
        quantizer=ResidualConfig(n_codebooks=stages, codebook_size=bins),
        segments=segments,
    )


def _ratios(checkpoint: Checkpoint, values: object) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, int) for value in values):
        raise CheckpointError(f"The configuration of {checkpoint.where} has no proper ratios: {values!r}.")
    return tuple(values)


def _padding(checkpoint: Checkpoint, mode: str) -> Padding:
    if mode in ("reflect", "constant"):
        return cast(Padding, mode)
    raise CheckpointError(f"{checkpoint.where} pads by {mode!r}; only 'reflect' and 'constant' are known.")


def _norm(checkpoint: Checkpoint, norm: str) -> Literal["weight", "group"]:
    if norm in ("weight_norm", "none"):
        return "weight"  # folded weights are plain ones
    if norm == "time_group_norm":
        return "group"
    raise CheckpointError(f"{checkpoint.where} has the normalisation {norm!r}, which is not supported.")


def _audiocraft_yaml(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise CheckpointError("Reading an AudioCraft checkpoint needs PyYAML: pip install pyyaml.") from error
    try:
        found = yaml.safe_load(checkpoint.extra["xp.cfg"])
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise CheckpointError(f"The configuration in {checkpoint.where} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"The configuration in {checkpoint.where} is damaged: it must have keys.")
    return found


def _lookup(config: dict[str, Any], path: str, depth: int = 0) -> object:
    """A value by its path; `${path}`, which AudioCraft leaves in its configurations, stands for another."""
    found: object = config
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, str) and found.startswith("${") and depth < 8:
        return _lookup(config, found[2:-1], depth + 1)
    return found
