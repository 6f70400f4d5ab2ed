"""Models for the commands that compute: each loaded once, when the first recording needs it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codec.codec import Codec


class Loader:
    """Loads models; `seconds` is how long that took so far, which is no part of coding a recording."""

    def __init__(self, device: str) -> None:
        self.seconds = 0.0
        self._device = device
        self._loaded: dict[str | None, Codec] = {}

    def load(self, name_or_path: str | None) -> Codec:
        """The model, as `codec.load` finds it; raises ModelError."""
        if name_or_path not in self._loaded:
            begin = time.perf_counter()
            self._loaded[name_or_path] = self._load(name_or_path)
            self.seconds += time.perf_counter() - begin
        return self._loaded[name_or_path]

    def _load(self, name_or_path: str | None) -> Codec:
        import torch

        import codec

        if "OMP_NUM_THREADS" not in os.environ:
            # Layers this small gain little from more threads, and lose much where other programs run.
            torch.set_num_threads(1)
        return codec.load(name_or_path, device=self._device)
