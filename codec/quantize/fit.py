"""Training a quantizer by itself, on latents that stay as they are."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from codec.quantize.base import Quantizer

# How often the error of encoding is measured during training.
_CHECKS = 8

# Frames encoded at once, for little memory.
_AT_ONCE = 1024


def fit(
    quantizer: Quantizer,
    z: torch.Tensor,
    *,
    steps: int,
    batch_frames: int = 1024,
    rate: float = 1e-3,
    codebook_rate: float | None = None,
    seed: int = 0,
    held_out: torch.Tensor | None = None,
) -> list[float]:
    """Trains codebooks, projections and networks in place, by Adam with a cosine decay to zero.

    The loss is the quantizer's own, and the squared error of the latents that a decoder would see. Codebooks
    without gradient learn as in every training step. Draws from torch's global generator are seeded and leave
    it as it was.

    Args:
        quantizer: its codebooks started, e.g. by `Quantizer.start`.
        z: latents `[1, dim, frames]`.
        steps: training steps.
        batch_frames: latent frames a step, in runs of the quantizer's stride.
        rate: of learning, at its highest. codebook_rate: that of codebooks, if it is another: a code only
            moves in the few steps in which it is chosen.
        seed: of everything random.
        held_out: latents `[1, dim, frames]` of which the error of encoding is measured a few times on the
            way; the quantizer ends as it was when that was least, at the start if nothing was better. Some
            losses, straight-through projections before all, have their minimum elsewhere.

    Returns:
        The loss of every step.
    """
    stride = quantizer.stride
    runs = z[0, :, : z.shape[2] // stride * stride].unflatten(1, (-1, stride))  # [dim, runs, stride]
    parameters = [p for p in quantizer.parameters() if p.requires_grad]
    optimizer = (
        torch.optim.Adam(_groups(quantizer, rate, codebook_rate), betas=(0.9, 0.99)) if parameters else None
    )
    size = float(z.square().mean().clamp(min=1e-12))
    losses = []
    best, best_state = math.inf, None
    every = max(1, steps // _CHECKS)
    was_training = quantizer.training
    quantizer.train()
    with torch.random.fork_rng(devices=[z.device] if z.is_cuda else []):
        torch.manual_seed(seed)
        for step in range(steps + 1):
            if held_out is not None and (step % every == 0 or step == steps):
                found = coding_error(quantizer, held_out)
                if found < best:
                    best, best_state = found, copy.deepcopy(quantizer.state_dict())
            if step == steps:
                break
            pick = torch.randint(runs.shape[1], (max(1, batch_frames // stride),)).to(z.device)
            # As items of one run each, so that quantizer dropout draws for each by itself.
            batch = runs[:, pick].transpose(0, 1)
            out = quantizer(batch)
            loss = (out.loss + (out.latents - batch).square().mean()) / size
            losses.append(float(loss.detach()))
            if optimizer is None or not loss.requires_grad:
                continue
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
    if best_state is not None:
        quantizer.load_state_dict(best_state)
    quantizer.train(was_training)
    return losses


@torch.no_grad()
def coding_error(quantizer: Quantizer, z: torch.Tensor) -> float:
    """Squared error of latents `[1, dim, frames]` after encoding and decoding, as a share of their power."""
    was_training = quantizer.training
    quantizer.eval()
    left = power = 0.0
    whole = z[:, :, : z.shape[2] // quantizer.stride * quantizer.stride]
    for part in whole.split(_AT_ONCE // quantizer.stride * quantizer.stride, dim=2):
        left += float((part - quantizer.decode(quantizer.encode(part).codes)).double().square().sum())
        power += float(part.double().square().sum())
    quantizer.train(was_training)
    return left / max(power, 1e-30)


def _groups(quantizer: Quantizer, rate: float, codebook_rate: float | None) -> list[dict[str, Any]]:
    """Parameters with their highest rate: codebooks, and all others."""
    named = [(name, p) for name, p in quantizer.named_parameters() if p.requires_grad]
    codebooks = [p for name, p in named if name.rpartition(".")[2] == "codebook"]
    others = [p for name, p in named if name.rpartition(".")[2] != "codebook"]
    peaks = (rate if codebook_rate is None else codebook_rate, rate)
    return [
        {"params": group, "lr": peak, "peak": peak}
        for group, peak in zip((codebooks, others), peaks, strict=True)
        if group
    ]
