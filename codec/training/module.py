"""The training step: generator and discriminators, balanced losses, averaged weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import lightning
import torch

from codec.evaluation.metrics import mel_distance, pesq_wb, si_sdr, stoi
from codec.models.config import CodecConfig
from codec.models.discriminators import DiscriminatorConfig, MultiScaleStftDiscriminator
from codec.models.network import CodecNetwork
from codec.quantize.usage import perplexity
from codec.tokens import codebooks_for
from codec.training.balancer import Balancer
from codec.training.data import AudioFolder
from codec.training.ema import averaged_copy, update_average
from codec.training.losses import (
    SpectralLossConfig,
    SpectralLosses,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from codec.training.start import start_from_data


@dataclass(frozen=True)
class LossWeights:
    """Share of the gradient that each loss gets, and the weight of the quantizer's own loss."""

    mel: float = 1.0
    complex: float = 1.0
    adversarial: float = 0.5
    feature: float = 0.5
    commitment: float = 1.0


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with a linear warm-up, a constant rate, and a cosine decay to zero at the trainer's end.

    rate: learning rate of the generator. discriminator_rate: of the discriminators.
    betas: of AdamW. weight_decay: of AdamW, generator only. clip: largest norm of a gradient.
    warmup_steps, decay_steps: lengths of the warm-up and of the final decay, in steps.
    average_decay: of the running average of the weights.
    """

    rate: float = 5e-4
    discriminator_rate: float = 3e-4
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 0.01
    clip: float = 5.0
    warmup_steps: int = 100
    decay_steps: int = 2000
    average_decay: float = 0.999


@dataclass(frozen=True)
class AdversaryConfig:
    """When and with what the decoded audio is judged by discriminators.

    start_step: first step with discriminators; -1 trains without.
    every: steps between two updates of the discriminators.
    """

    start_step: int = -1
    every: int = 1
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)


class CodecTraining(lightning.LightningModule):
    """Trains a codec; the running average of its weights (`average`) validates and is exported.

    Args:
        codec: the codec to train.
        losses: resolutions of the reconstruction losses.
        weights: of the losses against each other.
        optimizer: rates and schedule.
        adversary: discriminators.
        start_seconds: seconds of training audio that a fresh codec's codebooks are started from.
        valid_kbps: bitrates that validation measures, in kbps.
    """

    started: torch.Tensor

    def __init__(
        self,
        codec: CodecConfig,
        losses: SpectralLossConfig = SpectralLossConfig(),  # noqa: B008 (frozen)
        weights: LossWeights = LossWeights(),
        optimizer: OptimizerConfig = OptimizerConfig(),
        adversary: AdversaryConfig = AdversaryConfig(),
        start_seconds: float = 2400.0,
        valid_kbps: tuple[float, ...] = (1.5, 6.0),
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.codec, self.weights, self.optimizer, self.adversary = codec, weights, optimizer, adversary
        self.start_seconds, self.valid_kbps = start_seconds, valid_kbps
        self.network = CodecNetwork(codec)
        self.average = averaged_copy(self.network)
        self.spectral_losses = SpectralLosses(losses, codec.sample_rate)
        names = ["mel", "complex"]
        self.discriminator: MultiScaleStftDiscriminator | None = None
        if adversary.start_step >= 0:
            self.discriminator = MultiScaleStftDiscriminator(adversary.discriminator)
            names += ["adversarial", "feature"]
        self.balancer = Balancer({name: getattr(weights, name) for name in names})
        # In the checkpoint, so that a resumed run does not start its codebooks again.
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def configure_optimizers(self) -> Any:
        config = self.optimizer
        generator = torch.optim.AdamW(
            self.network.parameters(), lr=config.rate, betas=config.betas, weight_decay=config.weight_decay
        )
        if self.discriminator is None:
            return [generator]
        judge = torch.optim.AdamW(
            self.discriminator.parameters(),
            lr=config.discriminator_rate,
            betas=config.betas,
            weight_decay=0.0,
        )
        return [generator, judge]

    def on_fit_start(self) -> None:
        if not self.started:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, AudioFolder):
                raise TypeError("CodecTraining starts from an AudioFolder.")
            segments = data.segments
            count = min(
                len(segments), math.ceil(self.start_seconds * data.sample_rate / segments[0].shape[-1])
            )
            audio = torch.stack([segments[i] for i in range(count)]).to(self.device)
            start_from_data(self.network, audio)
            self.average.load_state_dict(self.network.state_dict())
            self.started.fill_(True)

    def training_step(self, batch: torch.Tensor, index: int) -> None:
        step = self.global_step
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        share = self._schedule(step)
        for optimizer, rate in zip(
            optimizers, (self.optimizer.rate, self.optimizer.discriminator_rate), strict=False
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * share
        made = self.network(batch)
        judged = self.discriminator if self.adversary.start_step <= step else None
        if judged is not None and step % self.adversary.every == 0:
            self._judge(judged, optimizers[1], batch, made.audio.detach())
        mel, complex_ = self.spectral_losses(made.audio, batch)
        losses = {"mel": mel, "complex": complex_}
        if judged is not None:
            with torch.no_grad():
                real = judged(batch)
            fake = judged(made.audio)
            losses["adversarial"] = adversarial_loss([x.logits for x in fake])
            losses["feature"] = feature_loss([x.features for x in real], [x.features for x in fake])
        balanced, norms = self.balancer.combine(losses, made.audio)
        generator = optimizers[0]
        generator.zero_grad()
        self.manual_backward(balanced + self.weights.commitment * made.loss)
        size = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.optimizer.clip)
        generator.step()
        update_average(self.average, self.network, self.optimizer.average_decay, step)
        self.log_dict({f"loss/{name}": loss.detach() for name, loss in losses.items()})
        self.log_dict({f"gradient/{name}": norm for name, norm in norms.items()})
        self.log_dict({"loss/commitment": made.loss.detach(), "gradient/all": size, "rate": share})
        self.log("mel", mel.detach(), prog_bar=True, logger=False)
        used = perplexity(made.counts.float())
        self.log_dict({f"perplexity/{i:02d}": value for i, value in enumerate(used)})

    def _judge(
        self,
        judge: MultiScaleStftDiscriminator,
        optimizer: Any,
        real: torch.Tensor,
        fake: torch.Tensor,
    ) -> None:
        loss = discriminator_loss([x.logits for x in judge(real)], [x.logits for x in judge(fake)])
        optimizer.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(judge.parameters(), self.optimizer.clip)
        # Lightning counts the steps of every optimizer that it wraps; max_steps should count batches.
        optimizer.optimizer.step()
        self.log("loss/discriminator", loss.detach())

    def _schedule(self, step: int) -> float:
        """Learning rate at a step as a share of the configured one."""
        config, last = self.optimizer, self.trainer.max_steps
        warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
        left = max(0, last - step) / max(1, config.decay_steps)
        return warm if last <= 0 or left >= 1 else warm * 0.5 * (1 - math.cos(math.pi * left))

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        rate = self.codec.sample_rate
        for kbps in self.valid_kbps:
            n = codebooks_for(kbps, None, self.codec.frame_rate, self.codec.quantizer.codebook_sizes)
            target = batch[0, 0].cpu().numpy()
            decoded = self.average.reconstruct(batch, n)[0, 0].cpu().numpy()
            figures = {
                "pesq": pesq_wb(target, decoded, rate),
                "stoi": stoi(target, decoded, rate),
                "si_sdr": si_sdr(target, decoded),
                "mel": mel_distance(target, decoded, rate),
            }
            for name, value in figures.items():
                if not math.isnan(value):
                    self.log(f"valid/{name}@{kbps:g}", value, batch_size=1, sync_dist=True)
