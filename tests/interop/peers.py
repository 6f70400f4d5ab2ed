"""The peers' own classes with random weights that carry a signal, and audio to compare with."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from encodec import EncodecModel as OfficialEncodec
from encodec.modules import SEANetDecoder, SEANetEncoder
from encodec.quantization import ResidualVectorQuantizer
from snac import SNAC
from torch import nn
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel

from codec.nn import fold_weight_norm

# Ends of recordings in every place of a frame, recordings shorter than any padding, and long ones.
LENGTHS = (1, 7, 319, 320, 2241, 5_003)


def audio(samples: int, channels: int = 1, batch: int = 1) -> np.ndarray:
    """Coloured noise of changing level, float32 `[batch, channels, samples]`."""
    random = np.random.default_rng(samples)
    noise = random.standard_normal((batch, channels, samples)).cumsum(-1)
    noise = noise - 0.9 * np.concatenate([noise[..., :1] * 0, noise[..., :-1]], -1)
    level = 0.05 * np.exp(np.sin(np.arange(samples) / 3000 + np.arange(batch)[:, None, None]))
    return (noise * level).astype(np.float32)


@torch.no_grad()
def enliven(model: Any, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """Gives every convolution's output the same level, so that no signal fades or grows by the layer.

    Returns the latents of some audio `[1, dim, frames]`.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("alpha"):
            parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    convolutions = [
        part
        for half in (model.encoder, model.decoder)
        for part in half.modules()
        if isinstance(part, nn.Conv1d | nn.ConvTranspose1d)
    ]
    hooks = [part.register_forward_hook(_level) for part in convolutions]
    x = torch.from_numpy(audio(24000, channels))
    latents = model.encoder(x[..., :20480])  # whole windows of attention
    model.decoder(latents)
    for hook in hooks:
        hook.remove()
    return latents


def _level(layer: Any, inputs: object, output: torch.Tensor) -> torch.Tensor:
    factor = (0.1 if layer.out_channels < 3 else 0.7) / float(output.std().clamp(min=1e-6))
    found = dict(layer.named_parameters())
    normalised = ("weight_g", "parametrizations.weight.original0")
    scaled = next((found[name] for name in normalised if name in found), None)
    (found["weight"] if scaled is None else scaled).mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)
    return output * factor


def exact(model: Any) -> Any:
    """A copy that computes in float64 with the very weights of float32: normalisation is folded before."""
    model = copy.deepcopy(model)
    fold_weight_norm(model)  # torch's own folding would change the original too
    for part in model.modules():
        if hasattr(part, "weight_g"):
            nn.utils.remove_weight_norm(part)
    return model.double()


@torch.no_grad()
def place_codes(codebooks: Sequence[torch.Tensor], latents: torch.Tensor, seed: int = 0) -> None:
    """Codebooks `[size, dim]` of random vectors as large as what is left of latents."""
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = latents.mean((0, 2)), latents.std((0, 2))
    for stage, codebook in enumerate(codebooks):
        drawn = torch.randn(codebook.shape, generator=generator) * deviation * 0.9**stage
        codebook.copy_(drawn + mean if stage == 0 else drawn)


def official_encodec(*, stereo: bool, filters: int = 4, dim: int = 16, stages: int = 32) -> Any:
    """The 24 kHz model, or with stereo the 48 kHz one, narrower."""
    torch.manual_seed(1)
    norm, causal = ("time_group_norm", False) if stereo else ("weight_norm", True)
    options: dict[str, Any] = {
        "channels": 2 if stereo else 1,
        "dimension": dim,
        "n_filters": filters,
        "norm": norm,
        "causal": causal,
    }
    rate = 48000 if stereo else 24000
    stages = min(stages, 16) if stereo else stages
    model = OfficialEncodec(
        SEANetEncoder(**options),
        SEANetDecoder(**options),
        ResidualVectorQuantizer(dimension=dim, n_q=stages, bins=1024),
        [3.0, 6.0, 12.0, 24.0] if stereo else [1.5, 3.0, 6.0, 12.0, 24.0],
        rate,
        2 if stereo else 1,
        normalize=stereo,
        segment=1.0 if stereo else None,
        name="encodec_48khz" if stereo else "encodec_24khz",
    ).eval()
    latents = enliven(model, 2 if stereo else 1)
    layers: Any = model.quantizer.vq.layers
    place_codes([layer._codebook.embed for layer in layers], latents)
    for layer in layers:
        layer._codebook.inited.fill_(1)
    return model


def hugging_face_encodec(**options: Any) -> Any:
    """A narrow EncodecModel; options are those of its configuration."""
    torch.manual_seed(2)
    model: Any = EncodecModel(EncodecConfig(num_filters=4, hidden_size=16, **options)).eval()
    latents = enliven(model, model.config.audio_channels)
    place_codes([layer.codebook.embed for layer in model.quantizer.layers], latents)
    return model


def hugging_face_dac(**options: Any) -> Any:
    """A narrow DacModel; options are those of its configuration."""
    torch.manual_seed(3)
    sizes = {"encoder_hidden_size": 8, "decoder_hidden_size": 32, "codebook_size": 64, "n_codebooks": 4}
    model = DacModel(DacConfig(**{**sizes, **options})).eval()
    enliven(model)
    return model


def snac(**options: Any) -> SNAC:
    """A narrow SNAC whose blocks of noise are silent, as they are when it is imported."""
    torch.manual_seed(4)
    sizes = {
        "sampling_rate": 24000,
        "encoder_dim": 8,
        "encoder_rates": [2, 4, 8, 8],
        "decoder_dim": 32,
        "decoder_rates": [8, 8, 4, 2],
        "attn_window_size": None,
        "codebook_size": 64,
        "vq_strides": [4, 2, 1],
    }
    model = SNAC(**{**sizes, **options}).eval()
    enliven(model)
    return model


@torch.no_grad()
def without_noise(model: SNAC) -> SNAC:
    """The same with its blocks of noise at level zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("linear.parametrizations.weight.original0"):
            parameter.zero_()
    return model
