"""Models for the commands that compute: each loaded once, when the first recording needs it."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from codec.cli.options import RuntimeName
from codec.errors import ModelError

if TYPE_CHECKING:
    from codec.codec import Codec


class Loader:
    """Loads models; `seconds` is how long that took so far, which is no part of coding a recording."""

    def __init__(self, device: str, runtime: RuntimeName = RuntimeName.torch) -> None:
        self.seconds = 0.0
        self._device, self._runtime = device, runtime
        self._loaded: dict[str | None, Codec] = {}

    def load(self, name_or_path: str | None) -> Codec:
        """The model, as `codec.load` finds it; raises ModelError."""
        if name_or_path not in self._loaded:
            begin = time.perf_counter()
            self._loaded[name_or_path] = self._load(name_or_path)
            self.seconds += time.perf_counter() - begin
        return self._loaded[name_or_path]

    def _load(self, name_or_path: str | None) -> Codec:
        import codec

        if self._runtime is RuntimeName.onnx:
            return codec.load(name_or_path, device=self._device, runtime="onnx")
        if self._runtime is RuntimeName.auto and can_start_fast(name_or_path, self._device):
            # Graphs that do not fit the weights any more must not keep anyone from the model itself.
            with suppress(ModelError):
                return codec.load(name_or_path, runtime="onnx")
        import torch

        if "OMP_NUM_THREADS" not in os.environ:
            # Layers this small gain little from more threads, and lose much where other programs run.
            torch.set_num_threads(1)
        return codec.load(name_or_path, device=self._device)


def can_start_fast(name_or_path: str | None, device: str) -> bool:
    """Whether there is all that it takes to compute without PyTorch, whose import alone takes seconds."""
    on_cpu = device == "cpu" or (device == "auto" and _has_no_gpu())
    if not on_cpu or find_spec("onnxruntime") is None:
        return False
    from codec import shipped
    from codec.runtime import is_exported

    return not shipped.is_checkpoint(name_or_path) and is_exported(shipped.resolve(name_or_path))


def _has_no_gpu() -> bool:
    """Whether it is sure, without PyTorch, that PyTorch would find no GPU of Nvidia's or AMD's."""
    if sys.platform == "darwin":
        return True
    drivers = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return sys.platform == "linux" and not any(os.path.exists(path) for path in drivers)
