"""Models on disk: `<name>.safetensors` with the weights beside `<name>.json` with the configuration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from codec.errors import ConfigError, ModelError, OutputError
from codec.models.config import CodecConfig, from_json, to_json
from codec.models.network import CodecNetwork

# Moving averages that training needs and decoding does not.
_TRAINING_ONLY = (".usage", ".sums")


def save(network: CodecNetwork, weights: Path) -> None:
    """Writes the network to `weights` (`….safetensors`, float16) and its configuration to `….json`.

    Raises:
        OutputError: the folder cannot be written.
    """
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith(_TRAINING_ONLY)
    }
    try:
        weights.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(tensors, str(weights))
        weights.with_suffix(".json").write_text(to_json(network.config))
    except OSError as error:
        raise OutputError(f"The model cannot be written to {weights}: {error}.") from error


def load(weights: Path) -> tuple[CodecNetwork, str]:
    """The network in `weights` with the configuration beside it, ready to encode and decode, and its hash.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the configuration.
    """
    config = read_config(weights.with_suffix(".json"))
    try:
        tensors = safetensors.torch.load_file(str(weights))
    except FileNotFoundError as error:
        raise ModelError(f"There is no model at {weights}.") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{weights} is damaged or not a safetensors file: {error}.") from error
    network = CodecNetwork(config)
    missing, unexpected = network.load_state_dict(tensors, strict=False) if _shapes_fit(network, tensors) else ([], [])
    missing = [name for name in missing if not name.endswith(_TRAINING_ONLY)]
    if missing or unexpected:
        raise ModelError(f"{weights} does not fit its configuration: {(missing + unexpected)[0]} is the first mismatch.")
    return network.float().eval(), weights_hash(config, tensors)


def read_config(path: Path) -> CodecConfig:
    """The configuration of a model; raises ModelError when it is missing or makes no sense."""
    try:
        return from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"The model's configuration {path} cannot be read: {error}.") from error
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from error


def weights_hash(config: CodecConfig, tensors: dict[str, torch.Tensor]) -> str:
    """16 hex digits that identify the weights: SHA-256 of configuration, names, types, shapes and values."""
    digest = hashlib.sha256(to_json(config).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _shapes_fit(network: CodecNetwork, tensors: dict[str, torch.Tensor]) -> bool:
    state = network.state_dict()
    for name, tensor in tensors.items():
        if name in state and state[name].shape != tensor.shape:
            raise ModelError(
                f"The weights do not fit the configuration: {name} is {tuple(tensor.shape)}, "
                f"not {tuple(state[name].shape)}."
            )
    return True
