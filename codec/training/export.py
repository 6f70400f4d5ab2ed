"""From a training run to a model that `codec encode --model` takes."""

from __future__ import annotations

from pathlib import Path

import lightning

from codec.models.store import save
from codec.training.discriminators import save_discriminators
from codec.training.module import CodecTraining


class ExportModel(lightning.Callback):
    """Writes the averaged weights as a model after every validation and at the end of training.

    Discriminators, if there are any, are written beside it, for training that goes on from the model.

    Args:
        folder: where to write `<name>.safetensors` and `<name>.json`; the run's log folder if not given.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self.path = Path()

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        # Asking for the log folder is a broadcast, so every rank does it.
        folder = Path(self.folder or trainer.log_dir or trainer.default_root_dir)
        if isinstance(pl_module, CodecTraining):
            self.path = folder / f"{pl_module.codec.name}.safetensors"

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._export(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # The last steps are not followed by a validation when they do not fill an epoch.
        self._export(trainer, pl_module)

    def _export(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero and not trainer.sanity_checking and isinstance(pl_module, CodecTraining):
            save(pl_module.average, self.path)
            if pl_module.adversary is not None:
                save_discriminators(pl_module.adversary, self.path)
