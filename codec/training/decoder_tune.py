"""A decoder taught the errors of one quantizer, and what its audio is worth: the end of a comparison."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from codec.audio import read_audio, resample
from codec.evaluation.metrics import mel_distance, pesq_wb, stoi
from codec.models.network import CodecNetwork
from codec.quantize import Quantizer
from codec.training.losses import LossConfig, LossWeights, ReconstructionLosses


def segments(paths: Sequence[str], sample_rate: int, seconds: float, count: int) -> torch.Tensor:
    """Audio `[count, 1, samples]`: the recordings' first channels one after the other, cut into pieces."""
    length, have, parts = round(seconds * sample_rate), 0, []
    for path in paths:
        audio, rate = read_audio(path)
        parts.append(resample(audio[:1], rate, sample_rate)[0])
        have += len(parts[-1])
        if have >= count * length:
            break
    whole = torch.from_numpy(np.concatenate(parts))
    return whole[: have // length * length].reshape(-1, 1, length)[:count]


def tuned(
    network: CodecNetwork,
    quantizer: Quantizer,
    audio: torch.Tensor,
    steps: int,
    *,
    rate: float = 3e-4,
    batch_size: int = 8,
    seed: int = 0,
) -> CodecNetwork:
    """A copy of an auto-encoder with this quantizer, its decoder trained on what the quantizer leaves.

    Encoder and quantizer stay as they are. The loss is the mel and the complex loss of training, with equal
    weights; steps pass through audio `[n, 1, samples]` in a random order, of whole frames.
    """
    made = copy.deepcopy(network)
    made.quantizer = quantizer
    losses = ReconstructionLosses(
        LossConfig(), LossWeights(), network.config.sample_rate, network.config.frame_length
    )
    optimizer = torch.optim.AdamW(made.decoder.parameters(), lr=rate, betas=(0.8, 0.99))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = audio[torch.randint(len(audio), (batch_size,), generator=generator)]
        hop, delay, samples = network.config.frame_length, made.decoder.delay, batch.shape[-1]
        stride = hop * quantizer.stride
        padded = F.pad(batch, (0, -(-(samples + delay) // stride) * stride - samples))
        with torch.no_grad():
            latents = made.encoder(padded)[0]
            latents = quantizer.decode(quantizer.encode(latents).codes)
        decoded = made.decoder(latents)[0][..., delay : delay + samples]
        found = losses(decoded, batch)
        optimizer.zero_grad()
        torch.stack(list(found.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(made.decoder.parameters(), 5.0)
        optimizer.step()
    return made.eval()


@torch.inference_mode()
def heard(network: CodecNetwork, paths: Sequence[str]) -> dict[str, float]:
    """Means over recordings of PESQ-WB, STOI and the mel distance, at the model's rate."""
    rate, hop, delay = network.config.sample_rate, network.config.frame_length, network.decoder.delay
    stride = hop * network.quantizer.stride
    found: dict[str, list[float]] = {"pesq_wb": [], "stoi": [], "mel_distance": []}
    for path in paths:
        audio, own_rate = read_audio(path)
        x = torch.from_numpy(resample(audio[:1], own_rate, rate))
        samples = x.shape[1]
        padded = F.pad(x[None], (0, -(-(samples + delay) // stride) * stride - samples))
        latents = network.encoder(padded)[0]
        latents = network.quantizer.decode(network.quantizer.encode(latents).codes)
        decoded = network.decoder(latents)[0][0, 0, delay : delay + samples].numpy()
        reference = x[0].numpy()
        found["pesq_wb"].append(pesq_wb(reference, decoded, rate))
        found["stoi"].append(stoi(reference, decoded, rate))
        found["mel_distance"].append(mel_distance(reference, decoded, rate))
    return {name: float(np.nanmean(values)) for name, values in found.items()}
