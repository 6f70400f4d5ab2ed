"""The whole of training on one clip: it must be able to learn it by heart."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from codec.evaluation.metrics import mel_distance
from codec.models import CodecConfig, SpectralConfig
from codec.quantize import ResidualConfig
from codec.training.losses import LossConfig
from codec.training.schedule import OptimizerConfig
from tests.training.small import fit, training

OVERFIT = CodecConfig(
    name="overfit",
    hop_length=160,
    latent_dim=32,
    network=SpectralConfig(width=192, encoder_blocks=1, decoder_blocks=2, expansion=2, kernel_size=5),
    quantizer=ResidualConfig(n_codebooks=4, codebook_size=64, dropout=0.0),
)
STEPS = 150


class OneClip(lightning.LightningDataModule):
    """One clip, again and again."""

    sample_rate = OVERFIT.sample_rate

    def __init__(self, clip: torch.Tensor) -> None:
        super().__init__()
        self.segments = [clip] * 50

    def train_dataloader(self) -> Any:
        return DataLoader(self.segments, 1)  # type: ignore[arg-type]

    def val_dataloader(self) -> list[Any]:
        return []


def test_one_clip_is_learned(speech: np.ndarray) -> None:
    """From random codebooks and weights, the mel distance at the full rate falls by more than 60 %."""
    clip = torch.from_numpy(speech[16000:28000])[None]
    module = training(
        codec=OVERFIT,
        losses=LossConfig(windows=(1024, 256)),
        optimizer=OptimizerConfig(rate=3e-3, warmup_steps=10, decay_steps=60, average_decay=0.95),
    )
    # Not started from the clip: k-means on it would leave little to learn.
    module.started.fill_(True)

    def distance() -> float:
        decoded = module.average.reconstruct(clip[None], 4)
        return mel_distance(clip[0].numpy(), decoded[0, 0].numpy(), 16000)

    before = distance()
    fit(module, STEPS, data=OneClip(clip))
    after = distance()
    assert after < 0.4 * before
