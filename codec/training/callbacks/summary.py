"""A few lines at the end of a run: how long, how good, and where the model lies."""

from __future__ import annotations

import time

import lightning

from codec.training.callbacks.checkpoints import LAST, Checkpoints
from codec.training.export import ExportModel

# Of the validation figures, those where less is better.
_LESS_IS_BETTER = ("mel",)


class Summary(lightning.Callback):
    """Prints the summary to standard output when training has ended."""

    def __init__(self) -> None:
        self._began = (0.0, 0.0, 0)
        self._validation_began = (0.0, 0.0)
        self._validating = self._processor_validating = 0.0
        self._seen: dict[str, list[float]] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._began = (time.perf_counter(), time.process_time(), trainer.global_step)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._validation_began = (time.perf_counter(), time.process_time())

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._validating += time.perf_counter() - self._validation_began[0]
            self._processor_validating += time.process_time() - self._validation_began[1]
            for name, value in trainer.callback_metrics.items():
                if name.startswith("valid/"):
                    self._seen.setdefault(name.removeprefix("valid/"), []).append(float(value))

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero:
            print(self.text(trainer))

    def text(self, trainer: lightning.Trainer) -> str:
        """The summary, several lines."""
        seconds = time.perf_counter() - self._began[0] - self._validating
        processor = time.process_time() - self._began[1] - self._processor_validating
        steps = trainer.global_step - self._began[2]
        speed = steps / max(seconds, 1e-9)
        lines = [
            f"Trained {steps} steps in {seconds:.1f} s ({speed:.2f} steps/s, {processor:.1f} s of processor "
            f"time), validated in {self._validating:.1f} s."
        ]
        if self._seen:
            lines.append("Validation" + " " * 14 + "last    best")
        for name, values in sorted(self._seen.items()):
            metric, _, kbps = name.partition("@")
            best = min(values) if metric in _LESS_IS_BETTER else max(values)
            lines.append(f"  {metric:<8} {kbps:>5} kbps {values[-1]:9.3f} {best:7.3f}")
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoints):
                lines.append(f"Checkpoint: {callback.folder / LAST}")
            if isinstance(callback, ExportModel):
                lines.append(f"Model: {callback.path}")
                lines.append(f"To use it: codec encode --model {callback.path.parent} RECORDING")
        return "\n".join(lines)
