"""The few numbers that matter while training runs: step, mel loss, PESQ, steps per second, time left."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import ProgressBar

_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 20.0


class TrainingBar(ProgressBar):
    """One line on stderr: rewritten in place on a terminal, a new one every 20 seconds in a log file."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._shown_at = 0.0
        self._started = (0.0, 0)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        # By the trainer, on every rank but the first.
        self._enabled = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._started = (time.perf_counter(), trainer.global_step)
        if self._enabled:
            print(f"training on {trainer.world_size} x {pl_module.device.type}", file=sys.stderr)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        terminal = sys.stderr.isatty()
        now = time.perf_counter()
        if self._enabled and now - self._shown_at >= (_TERMINAL_SECONDS if terminal else _LOG_SECONDS):
            self._shown_at = now
            line = self.line(trainer, now)
            print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr)
            sys.stderr.flush()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._enabled and sys.stderr.isatty():
            print(file=sys.stderr)

    def line(self, trainer: lightning.Trainer, now: float) -> str:
        """What to show at a time of `time.perf_counter`, in seconds."""
        step, last = trainer.global_step, trainer.max_steps
        began, first = self._started
        # The average over the run counts validations too, so that the time left comes true.
        speed = (step - first) / max(1e-9, now - began)
        parts = [f"step {step} of {last}" if last > 0 else f"step {step}"]
        metrics = trainer.callback_metrics
        if "loss/mel" in metrics:
            parts.append(f"mel {float(metrics['loss/mel']):.3f}")
        quality = {name: value for name, value in metrics.items() if name.startswith("valid/pesq@")}
        if quality:
            shown = " ".join(f"{float(v):.2f}@{name.split('@')[1]}" for name, v in quality.items())
            parts.append(f"PESQ {shown} kbps")
        parts.append(f"{speed:.2f} steps/s")
        if last > 0 and speed > 0:
            parts.append(f"{_duration((last - step) / speed)} left")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
