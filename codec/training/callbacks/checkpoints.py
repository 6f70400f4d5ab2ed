"""Checkpoints at regular steps and when the process is asked to stop, each written in one piece."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

log = logging.getLogger(__name__)

LAST = "last.ckpt"


class Stopped(Exception):
    """Training ended because of a signal, after its state was saved.

    signal: its number. checkpoint: file to resume from. step: steps that the checkpoint holds.
    first: whether this is the first of the processes, which speaks for all.
    """

    def __init__(self, number: int, checkpoint: Path, step: int, first: bool) -> None:
        super().__init__(f"stopped at step {step} by {signal.Signals(number).name}; saved in {checkpoint}")
        self.signal, self.checkpoint, self.step, self.first = number, checkpoint, step, first


class Checkpoints(Checkpoint):
    """Keeps `checkpoints/last.ckpt` in the run's folder up to date.

    SIGTERM and Ctrl-C save it between two steps and end the run by `Stopped`; a second Ctrl-C ends it at
    once. A process that is killed otherwise loses the steps since the last save, never the file: it is
    replaced when the new one is complete.

    Args:
        every_steps: steps between two saves.
        keep: a multiple of every_steps: the checkpoints of these steps are also kept, as
            `step_000000.ckpt`; None keeps the last one only.
    """

    def __init__(self, every_steps: int = 250, keep: int | None = None) -> None:
        self.every_steps, self.keep = every_steps, keep
        self.folder = Path()
        self._asked: int | None = None
        self._saved = -1
        self._previous: dict[int, Any] = {}

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        # Asking for the folder is a broadcast, so every rank does it.
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._saved = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._ask)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        # A step that was skipped does not count, and is not saved twice.
        if step % self.every_steps == 0 and step != self._saved:
            self._save(trainer)
        self._stop_if_asked(trainer)

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            self._stop_if_asked(trainer)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.global_step != self._saved:
            self._save(trainer)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _ask(self, number: int, frame: object) -> None:
        if self._asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = number

    def _stop_if_asked(self, trainer: lightning.Trainer) -> None:
        # Signals reach the ranks between different steps; all of them have to stop after the same one.
        if trainer.strategy.reduce_boolean_decision(self._asked is not None, all=False):
            if trainer.global_step != self._saved:
                self._save(trainer)
            number = self._asked or signal.SIGTERM
            raise Stopped(number, self.folder / LAST, trainer.global_step, trainer.is_global_zero)

    def _save(self, trainer: lightning.Trainer) -> None:
        partial = self.folder / f".{LAST}.partial"
        trainer.save_checkpoint(partial)
        self._saved = trainer.global_step
        if trainer.is_global_zero:
            partial.replace(self.folder / LAST)
            if self.keep and self._saved % self.keep == 0:
                kept = self.folder / f"step_{self._saved:06d}.ckpt"
                kept.unlink(missing_ok=True)
                kept.hardlink_to(self.folder / LAST)


def newest(root: Path) -> Path | None:
    """The checkpoint that a run below root wrote last, if any."""
    found = [(path.stat().st_mtime, path) for path in root.glob(f"**/checkpoints/{LAST}")]
    return max(found)[1] if found else None
