"""A small codec, data that need no files, and a trainer that logs in memory: what tests of training share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import distributed
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from codec.audio import read_audio, resample
from codec.models import CodecConfig, SpectralConfig
from codec.models.discriminators import BandConfig, DiscriminatorConfig, PeriodConfig
from codec.quantize import ResidualConfig
from codec.training.adversary import AdversaryConfig
from codec.training.losses import LossConfig, LossWeights
from codec.training.module import CodecTraining
from codec.training.schedule import OptimizerConfig

SAMPLES = Path(__file__).parents[2] / "samples"

QUANTIZER = ResidualConfig(n_codebooks=3, codebook_size=32)
CODEC = CodecConfig(
    name="small",
    hop_length=80,
    latent_dim=16,
    network=SpectralConfig(width=80, encoder_blocks=1, decoder_blocks=1, expansion=1, kernel_size=3),
    quantizer=QUANTIZER,
)
LOSSES = LossConfig(windows=(512, 128), stft_windows=(512, 256))
STFT = DiscriminatorConfig(channels=2, windows=(256, 128))
PERIOD = PeriodConfig(periods=(2, 3), channels=(2, 4))
BAND = BandConfig(windows=(256,), channels=2)
OPTIMIZER = OptimizerConfig(warmup_steps=2, decay_steps=4)


def training(**changes: Any) -> CodecTraining:
    """A training of the small codec that is the same for each call with the same options."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "codec": CODEC,
        "losses": LOSSES,
        "optimizer": OPTIMIZER,
        "start_seconds": 4.0,
        "valid_kbps": (3.0,),
    }
    return CodecTraining(**{**options, **changes})


def judged(start_step: int = 0, **changes: Any) -> AdversaryConfig:
    return AdversaryConfig(start_step=start_step, **{"stft": STFT, **changes})


class Speech(Dataset[torch.Tensor]):
    """Item i of an epoch: a stretch `[1, samples]` of one recording, chosen by (epoch, i) alone."""

    def __init__(self, samples: int, count: int) -> None:
        self.epoch = 0
        self._samples, self._count = samples, count
        x, rate = read_audio(SAMPLES / "voice_a.flac")
        self._speech = resample(x, rate, CODEC.sample_rate)[0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> torch.Tensor:
        first = np.random.default_rng((self.epoch, index)).integers(len(self._speech) - self._samples)
        return torch.from_numpy(self._speech[first : first + self._samples].copy())[None]


class SmallData(lightning.LightningDataModule):
    """Segments of a quarter of a second, 3 batches an epoch, and two validation clips.

    Args:
        batch_size: segments per batch and process.
        count: segments of an epoch over all processes.
    """

    sample_rate = CODEC.sample_rate

    def __init__(self, batch_size: int = 2, count: int = 6) -> None:
        super().__init__()
        self._batch_size = batch_size
        self.segments = Speech(4000, count)

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        self.segments.epoch = self.trainer.current_epoch if self.trainer else 0
        # Not the trainer's own choice: of batch k, process r gets items r, r + 2, ...
        if distributed.is_initialized():
            sampler: DistributedSampler[torch.Tensor] = DistributedSampler(self.segments, shuffle=False)
            return DataLoader(self.segments, self._batch_size, sampler=sampler)
        return DataLoader(self.segments, self._batch_size)

    def val_dataloader(self) -> DataLoader[torch.Tensor]:
        return DataLoader(Speech(16000, 2), 1)


class Log(lightning.Callback):
    """Every logged figure of every step, in `steps`, and those of validation, in `validation`."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        logged = {k: v for k, v in trainer.callback_metrics.items() if not k.startswith("valid/")}
        self.steps.append({name: float(value) for name, value in logged.items()})

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        logged = {k: v for k, v in trainer.callback_metrics.items() if k.startswith("valid/")}
        self.validation.append({name: float(value) for name, value in logged.items()})


def fit(
    module: CodecTraining,
    steps: int,
    *,
    data: lightning.LightningDataModule | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    ckpt_path: Path | None = None,
    validate: bool = False,
    **options: Any,
) -> tuple[lightning.Trainer, Log]:
    """Trains until there were `steps` steps; returns the trainer and the log."""
    log = Log()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        callbacks=[log, *callbacks],
        enable_checkpointing=any(isinstance(item, ModelCheckpoint) for item in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if validate else 0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=1,
        **{"devices": 1, **options},
    )
    trainer.fit(module, datamodule=data or SmallData(), ckpt_path=ckpt_path)
    return trainer, log


def weights(mel: float = 1.0, complex: float = 1.0, **others: float) -> LossWeights:
    return LossWeights(mel=mel, complex=complex, **others)
