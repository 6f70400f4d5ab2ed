"""Checkpoints of other codecs, written as models of this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from codec.errors import OutputError
from codec.interop.detect import load_network
from codec.models import store
from codec.torch_engine import torch_codec


@dataclass(frozen=True)
class Made:
    """A model that was imported: its weights file, and `Codec.info` of it."""

    weights: Path
    facts: dict[str, Any]


def import_checkpoint(
    checkpoint: str | Path, folder: Path, *, name: str | None = None, force: bool = False
) -> Made:
    """Writes the model of a checkpoint to `folder/<name>.safetensors` and `.json`.

    Weights keep their float32, so that the model gives exactly what the checkpoint gives.

    Args:
        checkpoint: file, folder, or `hf:owner/name`.
        name: of the model; that of its kind and sample rate if not given.
        force: replace a model of that name that there is already.

    Raises:
        CheckpointError: it cannot be imported. ModelError: the hub cannot be reached.
        OutputError: the folder cannot be written, or holds a model of that name.
    """
    network = load_network(checkpoint, name)
    weights = folder / f"{network.config.name}.safetensors"
    if weights.exists() and not force:
        raise OutputError(f"{weights} exists already: --force replaces it.")
    store.save(network, weights, torch.float32)
    model = torch_codec(network, store.weights_hash(network))
    return Made(weights, {**model.info(), "streams": model.streams})
