"""How fast a recipe trains: steps per second, the share of time spent waiting for data, and memory."""

from __future__ import annotations

import dataclasses
import io
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import lightning
import torch

from codec.training.module import CodecTraining
from codec.training.run import run

WARM_UP = 5


@dataclass(frozen=True)
class Speed:
    """What was measured.

    steps_per_second: of training, without validations and checkpoints. waiting: share of the time between
    steps, when the next batch is awaited, 0 to 1. memory: peak in bytes, of the GPU if one was used,
    otherwise of the process plus its largest loader. device: "cpu" or "cuda". steps: that were measured.
    """

    steps_per_second: float
    waiting: float
    memory: int
    device: str
    steps: int


class Stopwatch(lightning.Callback):
    """Measures steps after the first few; discriminators work from the first step on, as in a long run."""

    def __init__(self) -> None:
        self._ended = self._began = 0.0
        self._working, self._waiting = 0.0, 0.0
        self._steps = self._seen = 0
        self._device = torch.device("cpu")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._device = pl_module.device
        if isinstance(pl_module, CodecTraining):
            start = min(0, pl_module.adversary_config.start_step)
            pl_module.adversary_config = dataclasses.replace(pl_module.adversary_config, start_step=start)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self._seen += 1
        if self._seen > WARM_UP:
            self._steps += 1
            self._working += now - self._began
            self._waiting += self._began - self._ended
        self._ended = now

    def result(self) -> Speed:
        """What was measured so far."""
        total = self._working + self._waiting
        if self._device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(self._device)
        else:
            unit = 1 if sys.platform == "darwin" else 1024
            usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            memory = sum(usage.ru_maxrss for usage in usages) * unit
        return Speed(self._steps / total, self._waiting / total, memory, self._device.type, self._steps)


def measure(arguments: Sequence[str], steps: int) -> Speed:
    """Trains a recipe for a few steps and throws the result away.

    Args:
        arguments: the recipe's path, and options that override it.
        steps: to measure, after 5 that are not.
    """
    watch = Stopwatch()
    # What a run prints at its end is about a model that is thrown away here.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        run(
            [
                arguments[0],
                # Good codebooks are of no use here.
                "--model.start_seconds=30",
                *arguments[1:],
                f"--trainer.max_steps={WARM_UP + steps}",
                f"--trainer.default_root_dir={folder}",
                "--trainer.limit_val_batches=0",
                "--trainer.enable_model_summary=false",
                "--trainer.enable_progress_bar=false",
            ],
            [watch],
        )
    return watch.result()
