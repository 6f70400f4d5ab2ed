"""The models that ship inside the package, and how a name or a path becomes a model; names need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from codec.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from codec.codec import Codec
    from codec.engine import Engine
    from codec.models.network import CodecNetwork

DEFAULT = "speech-16k"
Runtime = Literal["torch", "onnx", "numba"]
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
    if is_file or (isinstance(wanted, str) and wanted.startswith("hf:")):
        if is_checkpoint(wanted):
            raise ModelError(f"{wanted} is a checkpoint of another codec: codec import makes a model of it.")
        if path.suffix != ".safetensors":
            raise ModelError(f"{path} is not a model: give a .safetensors file or a folder that holds one.")
        return path
    raise ModelError(f"There is no model {str(wanted)!r}: give one of {', '.join(names())}, or a path.")


def is_checkpoint(name_or_path: str | Path | None) -> bool:
    """Whether a checkpoint of another codec is meant."""
    if name_or_path is None or str(name_or_path) in names():
        return False
    from codec.interop import detect

    return detect.is_checkpoint(name_or_path)


def load_network(name_or_path: str | Path | None) -> tuple[CodecNetwork, str]:
    """The network that a name, a path or a checkpoint of another codec means, and the hash of its weights.

    Raises:
        ModelError: no such model, or a damaged one. CheckpointError: a checkpoint that cannot be imported.
    """
    from codec.models import store

    if name_or_path is None or not is_checkpoint(name_or_path):
        return store.load(resolve(name_or_path))
    from codec.interop import detect

    network = detect.load_network(name_or_path)
    return network, store.weights_hash(network)


def load(name_or_path: str | Path | None = None, *, device: str = "cpu", runtime: Runtime = "torch") -> Codec:
    """A codec, ready to use.

    Args:
        name_or_path: a shipped model's name, a `.safetensors` file with its `.json` beside it, or a folder
            that holds one model; the shipped default if not given. Or a checkpoint of another codec: a file
            (`encodec_24khz.th`), a Hugging Face folder, or a name on the hub (`hf:facebook/encodec_24khz`).
        device: where PyTorch computes, e.g. "cpu" or "cuda"; "auto" is an Nvidia or AMD GPU where PyTorch
            can use one, else the CPU.
        runtime: "onnx" runs the graphs that `codec export` made beside the weights, on the CPU and without
            importing PyTorch; needs onnxruntime. The shipped models have them. "numba" besides compiles code
            for live streams that are pushed frame by frame (`codec.runtime.compiled`); needs Numba.

    Raises:
        CheckpointError: a checkpoint of another codec that cannot be imported.
        ModelError: no such model, a damaged one, no graphs for the runtime, a runtime that is not installed,
            or a device that PyTorch does not have or that lacks an operation of the model.
        ConfigError: an unknown runtime, or one other than "torch" with a device other than the CPU.
    """
    if runtime not in get_args(Runtime):
        raise ConfigError(f"runtime must be one of {', '.join(get_args(Runtime))}, not {runtime!r}.")
    if runtime != "torch":
        if device not in ("auto", "cpu"):
            raise ConfigError(
                f'The runtime "{runtime}" computes on the CPU, not on {device!r}: use runtime="torch".'
            )
        from codec.codec import Codec

        return Codec(_fast_engine(resolve(name_or_path), runtime))
    from codec.models import rates
    from codec.torch_engine import torch_codec

    network, weights_hash = load_network(name_or_path)
    smaller = None
    if not is_checkpoint(name_or_path):
        smaller = rates.beside(resolve(name_or_path), weights_hash, network.quantizer.codebook_sizes)
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = torch_codec(network.to(device), weights_hash, smaller)
        if network.device.type != "cpu":
            # What a device lacks shows only when it computes: now, and not in the middle of a recording.
            model.decode(model.encode(np.zeros(2 * model.hop_length, np.float32), model.sample_rate))
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(f"The device {device!r} cannot be used: {reason}.") from error
    return model


def _fast_engine(weights: Path, runtime: Runtime) -> Engine:
    if runtime == "onnx":
        from codec.runtime import OnnxEngine

        return OnnxEngine(weights)
    try:
        from codec.runtime.compiled import NumbaEngine
    except ImportError as error:
        raise ModelError('Numba is not installed: pip install "codec[numba]".') from error
    return NumbaEngine(weights)
