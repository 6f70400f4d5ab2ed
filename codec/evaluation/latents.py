"""Latents of recordings: what quantizers are fitted to, counted on and compared with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from codec.audio import read_audio, resample
from codec.errors import AudioError, CodecError
from codec.models.network import CodecNetwork

# Seconds encoded at once, for little memory.
_BLOCK_FRAMES = 3000


@dataclass(frozen=True, eq=False)
class Latents:
    """The latents of one recording: float32 `[frames, latent_dim]` a channel; or, in `error`, why not."""

    path: str
    rows: tuple[torch.Tensor, ...] = field(default=())
    error: CodecError | None = None


def latents_of(network: CodecNetwork, paths: Sequence[str], *, seed: int | None = None) -> Iterator[Latents]:
    """The latents of each recording, in a random order if there is a seed."""
    order = list(paths)
    if seed is not None:
        random.Random(seed).shuffle(order)
    for path in order:
        try:
            yield Latents(path, tuple(_rows(network, path)))
        except CodecError as error:
            yield Latents(path, error=error)


@torch.inference_mode()
def _rows(network: CodecNetwork, path: str) -> Iterator[torch.Tensor]:
    audio, rate = read_audio(path)
    if not audio.size:
        raise AudioError("it holds no sound")
    hop = network.config.frame_length
    for row in torch.from_numpy(resample(audio, rate, network.config.sample_rate)):
        x = F.pad(row, (0, -len(row) % hop)).to(network.device)
        parts, state = [], None
        for block in x.split(_BLOCK_FRAMES * hop):
            latents, state = network.encoder(block[None, None], state)
            parts.append(latents[0].T.cpu())
        yield torch.cat(parts)
