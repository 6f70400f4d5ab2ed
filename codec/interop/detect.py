"""From a checkpoint of another codec to a network of this package: which kind it is, and who reads it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from codec.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    import torch

    from codec.interop.checkpoints import Checkpoint
    from codec.models.config import CodecConfig
    from codec.models.network import CodecNetwork

# Each kind has a module that is a `Reader`. They are asked in this order.
KINDS = {
    "Mimi": "codec.interop.mimi",
    "EnCodec": "codec.interop.encodec",
    "DAC": "codec.interop.dac",
    "SNAC": "codec.interop.snac",
}

HUB = "hf:"
_SUFFIXES = (".th", ".pth", ".pt", ".bin")


class Reader(Protocol):
    """What the module of a kind offers, as functions. All raise CheckpointError."""

    def recognises(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint is of this kind, by its config.json or the names of its tensors."""
        ...

    def configuration(self, checkpoint: Checkpoint) -> CodecConfig:
        """The model that it is, in the terms of this package."""
        ...

    def weights(self, checkpoint: Checkpoint, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Its weights, float32, by the names and in the shapes of `wanted`, the state dict of that model.

        Weights in it are plain: weight normalisation is folded, and averages that only training needs are
        left out. `checkpoints.fit` does most of it.
        """
        ...


def is_checkpoint(source: str | Path) -> bool:
    """Whether a path (or `hf:` name) means a checkpoint of another codec; without PyTorch, by names alone."""
    if isinstance(source, str) and source.startswith(HUB):
        return True
    path = Path(source)
    try:
        if path.is_dir():
            own = any(weights.with_suffix(".json").is_file() for weights in path.glob("*.safetensors"))
            return (path / "config.json").is_file() and not own
        if path.suffix == ".safetensors":
            return path.is_file() and not path.with_suffix(".json").is_file()
        return path.suffix in _SUFFIXES and path.is_file()
    except OSError:  # a name that is too long, or a folder that nobody may enter
        return False


def load_network(source: str | Path, name: str | None = None) -> CodecNetwork:
    """The network in a checkpoint of another codec, ready to use, with folded weights.

    Args:
        source: file, folder, or `hf:owner/name`.
        name: identifies the model in token files; that of its kind and sample rate if not given.

    Raises:
        CheckpointError: it is of no kind that is known, damaged, or unsafe to read.
        ModelError: the hub cannot be reached and its cache does not hold the model.
    """
    from codec.interop.checkpoints import read_checkpoint
    from codec.interop.hub import fetch
    from codec.models.network import CodecNetwork
    from codec.models.store import stored_tensors
    from codec.nn import fold_weight_norm
    from codec.quantize.stage import Stage

    hub = isinstance(source, str) and source.startswith(HUB)
    checkpoint = read_checkpoint(fetch(str(source)[len(HUB) :]) if hub else Path(source))
    reader = reader_of(checkpoint)
    try:
        config = reader.configuration(checkpoint)
        network = CodecNetwork(config if name is None else replace(config, name=name))
    except (ConfigError, ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"No network can be built from {checkpoint.where}: {error}") from error
    fold_weight_norm(network)
    wanted = stored_tensors(network)
    network.load_state_dict(reader.weights(checkpoint, wanted), strict=False)
    for stage in network.quantizer.modules():
        if isinstance(stage, Stage):
            stage.forget()  # averages that go on from the codes, should anyone train it
    return network.eval()


def reader_of(checkpoint: Checkpoint) -> Reader:
    """Who reads this checkpoint; raises CheckpointError when nobody does."""
    for module in KINDS.values():
        reader = cast(Reader, importlib.import_module(module))
        if reader.recognises(checkpoint):
            return reader
    raise CheckpointError(
        f"{checkpoint.where} is of no kind that can be imported: those are {', '.join(KINDS)}."
    )
