"""Discriminators on disk: `<name>.discriminators` (safetensors) beside a model, to go on training from it."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch

from codec.errors import ModelError, OutputError
from codec.models.store import replace_file
from codec.training.adversary import Adversary

SUFFIX = ".discriminators"


def save_discriminators(adversary: Adversary, weights: Path) -> None:
    """Writes the discriminators beside a model's `weights`, as float16.

    Raises:
        OutputError: the folder cannot be written.
    """
    tensors = {
        name: t.detach().to("cpu", torch.float16).contiguous() for name, t in adversary.state_dict().items()
    }
    try:
        replace_file(weights.with_suffix(SUFFIX), safetensors.torch.save(tensors))
    except OSError as error:
        raise OutputError(f"Discriminators cannot be written beside {weights}: {error}.") from error


@torch.no_grad()
def load_discriminators(adversary: Adversary, weights: Path) -> bool:
    """Sets the discriminators to those beside a model's `weights`.

    Returns:
        Whether there were any of the same kinds and sizes; if not, nothing is changed.

    Raises:
        ModelError: the file is damaged.
    """
    path = weights.with_suffix(SUFFIX)
    if not path.is_file():
        return False
    try:
        tensors = safetensors.torch.load_file(str(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} is damaged: {error}.") from error
    own = adversary.state_dict()
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in own.items()}:
        return False
    adversary.load_state_dict(tensors)
    return True
