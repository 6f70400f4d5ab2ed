"""Training a quantizer by itself, on latents that stay as they are."""

from __future__ import annotations

import math

import torch

from codec.quantize.base import Quantizer


def fit(
    quantizer: Quantizer,
    z: torch.Tensor,
    *,
    steps: int,
    batch_frames: int = 1024,
    rate: float = 1e-3,
    seed: int = 0,
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
        rate: of learning, at its highest.
        seed: of everything random.

    Returns:
        The loss of every step.
    """
    stride = quantizer.stride
    runs = z[0, :, : z.shape[2] // stride * stride].unflatten(1, (-1, stride))  # [dim, runs, stride]
    parameters = [p for p in quantizer.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99)) if parameters else None
    size = float(z.square().mean().clamp(min=1e-12))
    losses = []
    was_training = quantizer.training
    quantizer.train()
    with torch.random.fork_rng(devices=[z.device] if z.is_cuda else []):
        torch.manual_seed(seed)
        for step in range(steps):
            pick = torch.randint(runs.shape[1], (max(1, batch_frames // stride),)).to(z.device)
            # As items of one run each, so that quantizer dropout draws for each by itself.
            batch = runs[:, pick].transpose(0, 1)
            out = quantizer(batch)
            loss = (out.loss + (out.latents - batch).square().mean()) / size
            losses.append(float(loss.detach()))
            if optimizer is None or not loss.requires_grad:
                continue
            optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
    quantizer.train(was_training)
    return losses
