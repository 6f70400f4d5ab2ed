"""Latents of recordings: what quantizers are fitted to, counted on and compared with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch.nn import functional as F

from codec.audio import read_audio, resample
from codec.errors import AudioError, CodecError, ConfigError, OutputError
from codec.models.network import CodecNetwork

# Encoded at once, for little memory.
_BLOCK_FRAMES = 3000


@dataclass(frozen=True, eq=False)
class Latents:
    """The latents of one recording: float32 `[frames, latent_dim]` a channel; or, in `error`, why not."""

    path: str
    rows: tuple[torch.Tensor, ...] = ()
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


@dataclass(frozen=True, eq=False)
class Corpus:
    """Latents to fit quantizers to, and to measure them with, both float32 `[frames, dim]`.

    weights_hash: of the model whose latents they are.
    """

    train: torch.Tensor
    test: torch.Tensor
    weights_hash: str


def save(
    path: Path, train: Sequence[torch.Tensor], test: Sequence[torch.Tensor], weights_hash: str
) -> tuple[int, int]:
    """Writes rows of latents `[frames, dim]` in float16; returns how many frames; raises OutputError."""
    tensors = {"train": torch.cat(list(train)).half(), "test": torch.cat(list(test)).half()}
    try:
        safetensors.torch.save_file(tensors, str(path), {"weights_hash": weights_hash})
    except (OSError, safetensors.SafetensorError) as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error
    return len(tensors["train"]), len(tensors["test"])


def load(path: Path) -> Corpus:
    """What `save` wrote; raises ConfigError when it is something else."""
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            parts = [file.get_tensor(name).float() for name in ("train", "test")]
            weights_hash = (file.metadata() or {}).get("weights_hash", "")
    except (OSError, safetensors.SafetensorError) as error:
        raise ConfigError(f"{path} does not hold latents: {error}.") from error
    train, test = parts
    if train.dim() != 2 or test.dim() != 2 or train.shape[1] != test.shape[1]:
        raise ConfigError(f"{path} does not hold latents: they are [frames, dim] for train and test.")
    return Corpus(train, test, weights_hash)


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
