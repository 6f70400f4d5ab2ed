"""Models on disk: `<name>.safetensors` with the weights beside `<name>.json` with the configuration."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from codec.errors import ConfigError, ModelError, OutputError
from codec.models.config import CodecConfig, from_json, to_json
from codec.models.network import CodecNetwork
from codec.nn.weight_norm import fold_weight_norm

# Moving averages and counters that training needs and decoding does not.
_TRAINING_ONLY = (".usage", ".sums", ".variance", ".steps")


def stored_tensors(network: CodecNetwork) -> dict[str, torch.Tensor]:
    """Those tensors of the network's state that a model's file holds: all but what only training needs."""
    return {
        name: tensor for name, tensor in network.state_dict().items() if not name.endswith(_TRAINING_ONLY)
    }


def weights_hash(network: CodecNetwork) -> str:
    """The hash of a network with folded weights, as if it had been loaded from a file of just these."""
    return _weights_hash(to_json(network.config), stored_tensors(network))


def save(network: CodecNetwork, weights: Path, dtype: torch.dtype = torch.float16) -> None:
    """Writes the network to `weights` (`….safetensors`, of dtype) and its configuration to `….json`.

    Normalised weights are stored as their plain values, so that every model that was written is ready to use.

    Raises:
        ModelError: a weight is not finite, or too large for the dtype.
        OutputError: the folder cannot be written.
    """
    folded = copy.deepcopy(network)
    fold_weight_norm(folded)
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in stored_tensors(folded).items()
    }
    _check_finite(tensors, "The model cannot be saved")
    try:
        weights.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, so that nobody finds half a model; the configuration first, which loading
        # needs.
        replace_file(weights.with_suffix(".json"), to_json(network.config).encode())
        replace_file(weights, safetensors.torch.save(tensors))
    except OSError as error:
        raise OutputError(f"The model cannot be written to {weights}: {error}.") from error


def load(weights: Path) -> tuple[CodecNetwork, str]:
    """The network in `weights` with the configuration beside it, ready to encode and decode, and its hash.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the configuration.
    """
    text, config = _read_config(weights.with_suffix(".json"))
    try:
        tensors = safetensors.torch.load_file(str(weights))
    except FileNotFoundError as error:
        raise ModelError(f"There is no model at {weights}.") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{weights} is damaged or not a safetensors file: {error}.") from error
    try:
        network = CodecNetwork(config)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"No network can be built from {weights.with_suffix('.json')}: {error}.") from error
    except ConfigError as error:
        raise ModelError(f"{weights.with_suffix('.json')}: {error}") from error
    fold_weight_norm(network)
    _check_fit(network, tensors, weights)
    _check_finite(tensors, f"{weights} is damaged")
    network.load_state_dict(tensors, strict=False)
    return network.eval(), _weights_hash(text, tensors)


def read_config(path: Path) -> CodecConfig:
    """The configuration of a model; raises ModelError when it is missing or makes no sense."""
    return _read_config(path)[1]


def _read_config(path: Path) -> tuple[str, CodecConfig]:
    """The configuration of a model, as its text and as what it means."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, from_json(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"The model's configuration {path} cannot be read: {error}.") from error
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from error


def _weights_hash(config: str, tensors: dict[str, torch.Tensor]) -> str:
    """16 hex digits that identify the weights: SHA-256 of configuration, names, types, shapes and values.

    The configuration counts as it is stored, whatever its layout, and not as this version understands it: a
    later version with more settings must still find the same model in the same files.
    """
    stored = json.dumps(json.loads(config), sort_keys=True)
    digest = hashlib.sha256(stored.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _check_fit(network: CodecNetwork, tensors: dict[str, torch.Tensor], weights: Path) -> None:
    """Raises ModelError unless the tensors are the weights of the network, all of them and no others."""
    wanted = {name: part.shape for name, part in stored_tensors(network).items()}
    different = sorted(wanted.keys() ^ tensors.keys())
    if different:
        raise ModelError(f"{weights} does not fit its configuration: {different[0]} is the first mismatch.")
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise ModelError(
                f"{weights} does not fit its configuration: {name} is {tuple(tensors[name].shape)}, "
                f"not {tuple(shape)}."
            )


def _check_finite(tensors: dict[str, torch.Tensor], what: str) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{what}: {name} holds values that are not finite.")


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file in one step: whoever opens it finds the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
