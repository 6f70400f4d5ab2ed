"""DAC (Kumar et al. 2023) from its official files and from Hugging Face's `DacModel`.

The names of official files are those here, but for the quantizer; Hugging Face has names of its own:

    official                            Hugging Face                              here
    encoder.block.0                     encoder.conv1                             as the official
    encoder.block.I.block.J.block.0..3  encoder.block.I-1.res_unitJ+1...          as the official
    encoder.block.I.block.3, .4         encoder.block.I-1.snake1, .conv1          as the official
    decoder.model.I.block.0, .1         decoder.block.I-1.snake1, .conv_t1        as the official
    quantizer.quantizers.N.in_proj      quantizer.quantizers.N.in_proj            quantizer.stages.N.project
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from codec.errors import CheckpointError
from codec.interop.checkpoints import Checkpoint, count, fit, setting, shape_of
from codec.models.config import CodecConfig, DacConfig
from codec.quantize.config import CosineConfig, ResidualConfig

_UNIT = ("snake1", "conv1", "snake2", "conv2")
_STAGE = {"project": "in_proj", "unproject": "out_proj", "codebook": "codebook.weight"}


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a DAC."""
    if "model_type" in checkpoint.config:
        return checkpoint.config["model_type"] == "dac"
    alike = {"encoder.block.1.block.0.block.0.alpha", "quantizer.quantizers.0.codebook.weight"}
    return alike <= checkpoint.tensors.keys() and "vq_strides" not in checkpoint.config


def configuration(checkpoint: Checkpoint) -> CodecConfig:
    """The model: rates from the configuration or from the shapes, the sample rate from the configuration."""
    if checkpoint.config:
        down = _rates(checkpoint, setting(checkpoint, "downsampling_ratios", list))
        width = setting(checkpoint, "encoder_hidden_size", int)
        network = DacConfig(
            encoder_channels=width,
            encoder_rates=down,
            decoder_channels=setting(checkpoint, "decoder_hidden_size", int),
            decoder_rates=down[::-1],
        )
        rate, latent_dim = setting(checkpoint, "sampling_rate", int), width * 2 ** len(down)
    else:
        network, rate = _of_official(checkpoint)
        blocks = 2 + len(network.encoder_rates)
        latent_dim = shape_of(checkpoint, f"encoder.block.{blocks}.weight")[0]
    size, dim = shape_of(checkpoint, "quantizer.quantizers.0.codebook.weight")
    return CodecConfig(
        name=f"dac_{rate // 1000}khz",
        sample_rate=rate,
        hop_length=math.prod(network.encoder_rates),
        latent_dim=latent_dim,
        network=network,
        quantizer=ResidualConfig(
            n_codebooks=count(checkpoint.tensors, r"quantizer\.quantizers\.(\d+)\."),
            codebook_size=size,
            lookup=CosineConfig(dim=dim),
        ),
    )


def weights(checkpoint: Checkpoint, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, by the names here."""
    if not checkpoint.config:
        return fit(wanted, checkpoint, stage_name)
    blocks = count(wanted, r"encoder\.block\.(\d+)\.block\.")
    return fit(wanted, checkpoint, partial(_hugging_face_name, blocks=blocks))


def stage_name(name: str) -> str:
    """The official name of what belongs to a codebook; other names are the same."""
    match = re.fullmatch(r"quantizer\.stages\.(\d+)\.(project|unproject|codebook)(\..*)?", name)
    return f"quantizer.quantizers.{match[1]}.{_STAGE[match[2]]}{match[3] or ''}" if match else name


def _hugging_face_name(name: str, blocks: int) -> str:
    match = re.fullmatch(r"(encoder|decoder)\.(?:block|model)\.(\d+)\.(.*)", name)
    if match is None:
        return stage_name(name)
    half, layer, rest = match[1], int(match[2]), match[3]
    if not 1 <= layer <= blocks:
        outer = {0: "conv1", blocks + 1: "snake1", blocks + 2: "conv2"}[layer]
        return f"{half}.{outer}.{rest}"
    # Units stand before the resampling in the encoder, and after it in the decoder.
    first, up = (0, 3) if half == "encoder" else (2, 0)
    inner, _, leaf = rest.removeprefix("block.").partition(".")
    if first <= int(inner) < first + 3:
        part, _, leaf = leaf.removeprefix("block.").partition(".")
        where = f"res_unit{int(inner) - first + 1}.{_UNIT[int(part)]}"
    else:
        resample = "conv1" if half == "encoder" else "conv_t1"
        where = "snake1" if int(inner) == up else resample
    return f"{half}.block.{layer - 1}.{where}.{leaf}"


def _of_official(checkpoint: Checkpoint) -> tuple[DacConfig, int]:
    """Network and sample rate (Hz)."""
    metadata = checkpoint.extra.get("metadata")
    options: Any = metadata.get("kwargs") if isinstance(metadata, dict) else None
    rate = options.get("sample_rate") if isinstance(options, dict) else None
    if not isinstance(rate, int) or rate < 1:
        raise CheckpointError(
            f"{checkpoint.where} does not say at which sample rate it works (metadata.kwargs.sample_rate)."
        )
    layers = range(1, 1 + count(checkpoint.tensors, r"encoder\.block\.(\d+)\.block\."))
    up = [shape_of(checkpoint, f"decoder.model.{i}.block.1.weight") for i in layers]
    network = DacConfig(
        encoder_channels=shape_of(checkpoint, "encoder.block.0.weight")[0],
        encoder_rates=tuple(
            shape_of(checkpoint, f"encoder.block.{i}.block.4.weight")[2] // 2 for i in layers
        ),
        decoder_channels=shape_of(checkpoint, "decoder.model.0.weight")[0],
        decoder_rates=tuple(shape[2] // 2 for shape in up),
    )
    return network, rate


def _rates(checkpoint: Checkpoint, values: list[object]) -> tuple[int, ...]:
    rates = tuple(value for value in values if isinstance(value, int) and value > 0)
    if len(rates) != len(values) or not rates:
        raise CheckpointError(f"config.json of {checkpoint.where} has no proper rates: {values!r}.")
    return rates
