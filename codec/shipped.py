"""The models that ship inside the package, and how a name or a path becomes a model; names need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from codec.errors import ModelError

if TYPE_CHECKING:
    from codec.codec import Codec

DEFAULT = "speech-16k"
_FOLDER = Path(__file__).parent / "weights"


def names() -> list[str]:
    """Names of the shipped models, the default first."""
    found = sorted(path.stem for path in _FOLDER.glob("*.safetensors"))
    return sorted(found, key=lambda name: name != DEFAULT)


def resolve(name_or_path: str | Path | None) -> Path:
    """The weights file that a name of a shipped model, a file or a folder with one model in it means.

    Raises:
        ModelError: there is no such model, or the folder holds several.
    """
    wanted = DEFAULT if name_or_path is None else name_or_path
    shipped = _FOLDER / f"{wanted}.safetensors"
    if isinstance(wanted, str) and wanted in names():
        return shipped
    path = Path(wanted)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError:  # a name that is too long, or a folder that nobody may enter
        is_folder = is_file = False
    if is_folder:
        inside = sorted(path.glob("*.safetensors"))
        if len(inside) != 1:
            raise ModelError(f"{path} holds {len(inside)} .safetensors files: name the one to load.")
        return inside[0]
    if is_file:
        if path.suffix != ".safetensors":
            raise ModelError(f"{path} is not a model: give a .safetensors file or a folder that holds one.")
        return path
    raise ModelError(f"There is no model {str(wanted)!r}: give one of {', '.join(names())}, or a path.")


def load(name_or_path: str | Path | None = None, *, device: str = "cpu") -> Codec:
    """A codec, ready to use.

    Args:
        name_or_path: a shipped model's name, a `.safetensors` file with its `.json` beside it, or a folder
            that holds one model; the shipped default if not given.
        device: where PyTorch computes, e.g. "cpu" or "cuda".

    Raises:
        ModelError: no such model, a damaged one, or a device that PyTorch does not have.
    """
    from codec.codec import Codec
    from codec.models import rates, store

    weights = resolve(name_or_path)
    network, weights_hash = store.load(weights)
    smaller = rates.beside(weights, weights_hash, network.quantizer.codebook_sizes)
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The device {device!r} cannot be used: {str(error).splitlines()[0]}.") from error
    return Codec(network, weights_hash, smaller)
