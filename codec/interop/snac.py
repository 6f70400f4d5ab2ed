"""SNAC (Siuzdak et al. 2024) from the folders that its package writes: config.json and pytorch_model.bin.

The configuration is the arguments of the package's class, and names are those here, but for the codebooks:

    there                                here
    quantizer.quantizers.N.in_proj       quantizer.levels.N.stages.0.project
    quantizer.quantizers.N.out_proj      quantizer.levels.N.stages.0.unproject
    quantizer.quantizers.N.codebook      quantizer.levels.N.stages.0.codebook

Its list of codes at several strides is one array here, see `to_frames`. Decoding adds no noise, where the
package draws new noise every time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from codec.errors import CheckpointError, ConfigError
from codec.interop.checkpoints import Checkpoint, fit, setting
from codec.interop.dac import stage_name
from codec.models.config import CodecConfig, SnacConfig
from codec.quantize.config import CosineConfig, ResidualConfig, TimeHierarchyConfig
from codec.tokens import Codes

# Positions that the attention of the package keeps, and computes anew here.
_IGNORED = r"(encoder\.block|decoder\.model)\.\d+\.rel_pos\..*"


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a SNAC."""
    return "vq_strides" in checkpoint.config and "encoder_rates" in checkpoint.config


def configuration(checkpoint: Checkpoint) -> CodecConfig:
    """The model that config.json describes."""
    down, up = (_integers(checkpoint, key) for key in ("encoder_rates", "decoder_rates"))
    width, window = setting(checkpoint, "encoder_dim", int), checkpoint.config.get("attn_window_size")
    latent_dim = width * 2 ** len(down)
    if checkpoint.config.get("latent_dim") not in (None, latent_dim):
        raise CheckpointError(f"config.json of {checkpoint.where} has a latent_dim other than {latent_dim}.")
    rate = setting(checkpoint, "sampling_rate", int)
    return CodecConfig(
        name=f"snac_{rate // 1000}khz",
        sample_rate=rate,
        hop_length=math.prod(down),
        latent_dim=latent_dim,
        network=SnacConfig(
            encoder_channels=width,
            encoder_rates=down,
            decoder_channels=setting(checkpoint, "decoder_dim", int),
            decoder_rates=up,
            depthwise=setting(checkpoint, "depthwise", bool),
            attention_window=0 if window is None else setting(checkpoint, "attn_window_size", int),
            noise=setting(checkpoint, "noise", bool),
        ),
        quantizer=TimeHierarchyConfig(
            strides=_integers(checkpoint, "vq_strides"),
            stages=ResidualConfig(
                n_codebooks=1,
                codebook_size=setting(checkpoint, "codebook_size", int),
                lookup=CosineConfig(dim=setting(checkpoint, "codebook_dim", int)),
                dropout=0.0,
            ),
        ),
    )


def weights(checkpoint: Checkpoint, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, by the names here."""

    def rename(name: str) -> str:
        return stage_name(re.sub(r"^quantizer\.levels\.(\d+)\.stages\.0\.", r"quantizer.stages.\1.", name))

    return fit(wanted, checkpoint, rename, _IGNORED)


def to_frames(levels: Sequence[np.ndarray], strides: Sequence[int]) -> Codes:
    """The package's list of codes, each `[rows, codes of the level]`, slowest first, as in `Tokens.codes`.

    A frame lasts as long as a code of the slowest level, and holds that, then those of the next level in
    order of time, and so on: `[rows, codebooks, frames]` uint16, with 1 + 2 + 4 codebooks at strides 4, 2, 1.

    Raises:
        ConfigError: levels that are not as many, or not as long, as the strides say.
    """
    points = _points(strides)
    frames = levels[0].shape[-1] if levels else 0
    wanted = [frames * count for count in points]
    if [level.shape[1:] for level in levels] != [(length,) for length in wanted]:
        raise ConfigError(f"The codes of the levels must be [rows, codes], with {wanted} codes.")
    split = [
        level.reshape(len(level), frames, count).transpose(0, 2, 1)
        for level, count in zip(levels, points, strict=True)
    ]
    return np.concatenate(split, axis=1).astype(np.uint16)


def to_levels(codes: Codes, strides: Sequence[int]) -> list[np.ndarray]:
    """The reverse of `to_frames`: int64 arrays `[rows, codes of the level]`, of codes with all codebooks."""
    points = _points(strides)
    if codes.shape[1] != sum(points):
        raise ConfigError(f"The codes of all levels have {sum(points)} codebooks, not {codes.shape[1]}.")
    parts = np.split(codes.astype(np.int64), np.cumsum(points)[:-1], axis=1)
    return [part.transpose(0, 2, 1).reshape(len(part), -1) for part in parts]


def _points(strides: Sequence[int]) -> list[int]:
    """Codes of each level in a frame."""
    return [strides[0] // stride for stride in strides]


def _integers(checkpoint: Checkpoint, key: str) -> tuple[int, ...]:
    values = setting(checkpoint, key, list)
    if not values or not all(isinstance(value, int) and value > 0 for value in values):
        raise CheckpointError(f"config.json of {checkpoint.where} has no proper {key}: {values!r}.")
    return tuple(values)
