"""Checkpoints of other codecs as plain tensors: .th, .pth, .bin, .safetensors, and Hugging Face folders.

Nothing in a checkpoint is ever executed: torch files are read with `weights_only=True`, whose unpickler
knows tensors and plain values alone.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from codec.errors import CheckpointError

# Weights of a Hugging Face folder, the best first; an index names the files that a large model is cut into.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_BIN_INDEX = "pytorch_model.bin.index.json"
# Where torch files keep the state dict among other things: AudioCraft and DAC.
_INSIDE = ("best_state", "state_dict", "model")
_NORMALISED = {
    ".weight_g": ".weight_v",
    ".parametrizations.weight.original0": ".parametrizations.weight.original1",
}

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What there is in a checkpoint.

    where: the file or folder, for messages.
    tensors: by their names there, but for normalised weights, which are folded: `conv.weight` in the place of
        `conv.weight_g` and `conv.weight_v` (or of `conv.parametrizations.weight.original0` and `1`).
    config: the content of `config.json` in the folder, or beside a `.safetensors`; empty if there is none.
    extra: what a torch file holds besides its state dict, such as DAC's "metadata".
    """

    where: Path
    tensors: Tensors
    config: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint's tensors and what describes them.

    Raises:
        CheckpointError: it is missing, damaged, or a pickle that would have to run code.
    """
    if path.is_dir():
        tensors, extra = _read_folder(path)
        config = _read_json(path / "config.json") if (path / "config.json").is_file() else {}
    elif path.is_file():
        tensors, extra = _read_file(path)
        config = {}
    else:
        raise CheckpointError(f"There is no checkpoint at {path}.")
    return Checkpoint(path, fold(tensors), config, extra)


def fold(tensors: Tensors) -> Tensors:
    """The tensors with normalised weights folded: `w = g v / |v|`, the norm over all axes but the first."""
    folded = dict(tensors)
    for name in tensors:
        for length, direction in _NORMALISED.items():
            base = name.removesuffix(length)
            if base != name and base + direction in tensors:
                g, v = folded.pop(name), folded.pop(base + direction)
                folded[f"{base}.weight"] = torch._weight_norm(v.float(), g.float(), 0)
    return folded


def fit(
    wanted: Mapping[str, torch.Tensor],
    checkpoint: Checkpoint,
    rename: Callable[[str], str],
    ignore: str = r"(?!)",
) -> Tensors:
    """The checkpoint's tensors under the names, and in the shapes, of the network that they are for.

    Args:
        wanted: state dict of the network, with folded weights.
        rename: from a name in the network to the one in the checkpoint.
        ignore: regular expression of names in the checkpoint that are not needed.

    Raises:
        CheckpointError: a tensor is missing, of another shape, or there is one that nothing needs; it names
            them.
    """
    named = {name: rename(name) for name in wanted}
    missing = sorted(set(named.values()) - checkpoint.tensors.keys())
    unexpected = sorted(
        name for name in checkpoint.tensors.keys() - set(named.values()) if re.fullmatch(ignore, name) is None
    )
    for what, names in (("lacks", missing), ("has the unexpected", unexpected)):
        if names:
            raise CheckpointError(f"{checkpoint.where} {what} {_listed(names)}: it is of another model.")
    found = {}
    for name, other in named.items():
        tensor, like = checkpoint.tensors[other], wanted[name]
        if _squeezed(tensor.shape) != _squeezed(like.shape):
            raise CheckpointError(
                f"{checkpoint.where} is of another model: {other} is {tuple(tensor.shape)}, "
                f"not {tuple(like.shape)}."
            )
        if not tensor.isfinite().all():
            raise CheckpointError(f"{checkpoint.where} is damaged: {other} holds values that are not finite.")
        found[name] = tensor.detach().to(torch.float32).reshape(like.shape)
    return found


def count(names: Iterable[str], pattern: str) -> int:
    """How many different whole numbers stand in the place of `(\\d+)` in names that the pattern begins."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})


def shape_of(checkpoint: Checkpoint, name: str) -> torch.Size:
    """Shape of a tensor that an architecture is deduced from; raises CheckpointError when it is missing."""
    if name not in checkpoint.tensors:
        raise CheckpointError(f"{checkpoint.where} lacks {name}: it is damaged or of another model.")
    return checkpoint.tensors[name].shape


def setting(checkpoint: Checkpoint, key: str, kind: type | tuple[type, ...]) -> Any:
    """A value of config.json; raises CheckpointError when it is missing or of another type."""
    value = checkpoint.config.get(key)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise CheckpointError(f"config.json of {checkpoint.where} has no proper {key}: {value!r}.")
    return value


def _read_folder(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    for name in (*_WEIGHTS, _BIN_INDEX):
        path = folder / name
        if path.is_file():
            return (_read_shards(path), {}) if name.endswith(".json") else _read_file(path)
    single = sorted(folder.glob("*.safetensors"))
    if len(single) == 1:
        return _read_file(single[0])
    raise CheckpointError(f"{folder} holds no weights: there is none of {', '.join(_WEIGHTS)}.")


def _read_shards(index: Path) -> Tensors:
    places = _read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{index} is damaged: it has no weight_map.")
    tensors: Tensors = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name:
            raise CheckpointError(f"{index} names a file outside of its folder: {name!r}.")
        tensors |= _read_file(index.parent / name)[0]
    absent = sorted(places.keys() - tensors.keys())
    if absent:
        raise CheckpointError(f"{index} names {_listed(absent)}, which its files lack.")
    return tensors


def _read_file(path: Path) -> tuple[Tensors, dict[str, Any]]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(str(path)), {}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint at {path}.") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it is damaged, or holds more than tensors and plain values, which only "
            "running its code could read."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged, or not a checkpoint.") from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is damaged, or not a safetensors file.") from error
    return _state_dict(content, path)


def _state_dict(content: object, path: Path) -> tuple[Tensors, dict[str, Any]]:
    extra: dict[str, Any] = {}
    while isinstance(content, dict):
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return {str(name): tensor for name, tensor in content.items()}, extra
        inside = next((key for key in _INSIDE if isinstance(content.get(key), dict)), None)
        if inside is None:
            break
        extra |= {str(key): value for key, value in content.items() if key != inside}
        content = content[inside]
    raise CheckpointError(f"{path} holds no state dict: it is not a checkpoint of a model.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged: it must be an object with keys.")
    return content


def _squeezed(shape: torch.Size) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _listed(names: list[str]) -> str:
    """Up to three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
