"""The training step: generator and discriminators, joined losses, averaged weights."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import nn

from codec import shipped
from codec.errors import ConfigError
from codec.models import store
from codec.models.config import CodecConfig, from_json, to_json
from codec.models.network import CodecNetwork, Reconstruction
from codec.quantize.analysis import sliced_distance
from codec.quantize.stage import Stage
from codec.quantize.usage import perplexity
from codec.training import decoder_alone
from codec.training.adversary import Adversary, AdversaryConfig
from codec.training.balancer import Balancing, build_combiner
from codec.training.distill import CodecDistillation, FeatureDistillation
from codec.training.ema import averaged_copy, copy_buffers, update_average
from codec.training.finetune import check_same, check_shapes, start_from_weights
from codec.training.guard import SkipGuard
from codec.training.items import items, one_by_one
from codec.training.losses import FAULTS, LossConfig, LossWeights, ReconstructionLosses
from codec.training.optimizers import build_optimizers, full_rates, matrices
from codec.training.precision import check_precision
from codec.training.ranks import any_rank, average_gradients, copy_from_first, rank_and_size
from codec.training.recipe import CodecSection
from codec.training.schedule import OptimizerConfig, codebook_share, rate_share
from codec.training.start import start_codebooks, start_networks
from codec.training.validation import Figures

__all__ = ["AdversaryConfig", "CodecTraining", "LossConfig", "LossWeights", "OptimizerConfig"]


class CodecTraining(lightning.LightningModule):
    """Trains a codec; the running average of its weights (`average`) validates and is exported.

    A step is a function of the weights, the batch, the seed and its own number, for it seeds its own random
    numbers: a resumed run repeats what the uninterrupted one would have done, whatever validation or data
    loading have drawn in between.

    Args:
        codec: the codec to train; in a recipe, its section.
        losses: resolutions of the reconstruction losses.
        weights: of the losses against each other.
        optimizer: rates and schedule.
        adversary: discriminators.
        balancing: how the losses of the audio are joined: EnCodec's "balancer", VQ-GAN's "adaptive" weight of
            the adversarial loss, or "none" for a plain weighted sum.
        start_seconds: seconds of training audio that a fresh codec's codebooks are started from.
        quantize_from: first step that quantizes. Networks that start from random weights say little at first,
            and codebooks placed on that collapse: up to this step they train as an auto-encoder, and only
            then k-means places the codebooks. 0 for networks with a closed form, which say enough.
        decoder_from: first step that trains the decoder alone, each item at a random bitrate; -1 for none.
            What encoder and codebooks were at last, averaged, they stay. With 0 and start_from, codes stay
            those of the model that it starts from.
        valid_kbps: bitrates that validation measures, in kbps.
        start_from: shipped model, path of a model, or `.ckpt` to fine-tune; a fresh codec if not given.
        teacher: shipped model or path of a model, the frozen teacher of `weights.distill_codec`.
        features: module that maps audio `[batch, 1, samples]` to `[batch, dim, frames]`, the frozen teacher
            of `weights.distill_features`.
        compile: whether encoder and decoder are compiled by torch.compile.

    Raises:
        ConfigError: a loss has a weight but nothing to compare with.
        ModelError: start_from or teacher is no model, or a resumed checkpoint is of another architecture.
    """

    started: torch.Tensor

    def __init__(
        self,
        codec: CodecConfig | CodecSection,
        losses: LossConfig = LossConfig(),  # noqa: B008 (frozen)
        weights: LossWeights = LossWeights(),  # noqa: B008
        optimizer: OptimizerConfig = OptimizerConfig(),  # noqa: B008
        adversary: AdversaryConfig = AdversaryConfig(),  # noqa: B008
        balancing: Balancing = "balancer",
        start_seconds: float = 2400.0,
        quantize_from: int = 0,
        decoder_from: int = -1,
        valid_kbps: tuple[float, ...] = (1.5, 6.0),
        start_from: str | None = None,
        teacher: str | None = None,
        features: nn.Module | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        codec = codec.config if isinstance(codec, CodecSection) else codec
        self.codec, self.weights, self.optimizer, self.adversary_config = codec, weights, optimizer, adversary
        self.start_seconds, self.start_from, self.quantize_from = start_seconds, start_from, quantize_from
        self.decoder_from = decoder_from
        self.seed = torch.initial_seed() % 2**31
        self.network = CodecNetwork(codec)
        self.average = averaged_copy(self.network)
        self.reconstruction = ReconstructionLosses(losses, weights, codec.sample_rate, codec.frame_length)
        judged = [name for name in ("adversarial", "feature") if getattr(weights, name) > 0]
        self.adversary = Adversary(adversary) if adversary.present and judged else None
        balanced = [name for name in self.reconstruction.names if name not in FAULTS]
        names = [*balanced, *(judged if self.adversary is not None else [])]
        self.judged = tuple(judged)
        self.balancer = build_combiner(balancing, {name: getattr(weights, name) for name in names})
        self.distill_codec = _codec_distillation(codec, weights, teacher)
        self.distill_features = _feature_distillation(codec, weights, features)
        self.guard = SkipGuard(optimizer.skip_limit)
        self.figures = Figures(valid_kbps)
        # In the checkpoint, so that a resumed run does not start its codebooks again.
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        if quantize_from < 0 or (quantize_from and start_from is not None):
            raise ConfigError("quantize_from is a step of a fresh codec: set it to 0 with start_from.")
        if quantize_from > 0 and 0 <= decoder_from <= quantize_from:
            raise ConfigError("The decoder can learn alone only after codebooks do: set decoder_from higher.")
        if compile and balancing == "adaptive":
            raise ConfigError("The adaptive weight needs gradients inside the decoder: set compile to false.")
        if compile:
            # In place, which keeps the names of the weights. The quantizer's shapes depend on its data.
            self.network.encoder.compile()
            self.network.decoder.compile()

    def configure_optimizers(self) -> Any:
        judges = [] if self.adversary is None else list(self.adversary.parameters())
        return build_optimizers(self.network, self._generator_parameters(), judges, self.optimizer)

    def on_fit_start(self) -> None:
        check_precision(str(self.trainer.precision), self.device)
        if self.started:
            return
        if self.start_from is not None:
            start_from_weights(self.network, self.adversary, self.start_from)
        elif rank_and_size()[0] == 0:
            audio = self._start_audio()
            start_networks(self.network, audio)
            if self.quantize_from == 0:
                start_codebooks(self.network, audio)
        copy_from_first(self.network)
        self.average.load_state_dict(self.network.state_dict())
        self.started.fill_(True)

    def training_step(self, batch: torch.Tensor, index: int) -> None:
        step = self.global_step
        rank, _ = rank_and_size()
        # Quantizer dropout and restarted codes must not depend on what else drew numbers before.
        torch.manual_seed(hash((self.seed, step, rank)) % 2**63)
        optimizers = self._optimizers(rate_share(self.optimizer, step, self.trainer.max_steps))
        recorded = items(batch, self.codec)
        audio = one_by_one(recorded)
        if any_rank(~audio.isfinite().all()):
            self.guard.skip(step, "a sample of the batch")
            return
        if 0 < step == self.quantize_from:
            self._start_codebooks()
        quantize = step >= self.quantize_from
        if 0 <= self.decoder_from <= step:
            if step == self.decoder_from:
                decoder_alone.hold_still(self.network, self.average)
            made = decoder_alone.reconstruct(self.network, recorded)
        else:
            made = self.network(recorded, quantize)
        # The losses of the decoded audio, channel by channel, and those of the latents.
        decoded = one_by_one(made.audio.float())
        losses = self.reconstruction(decoded, audio)
        faults = {name: losses.pop(name) for name in FAULTS if name in losses}
        if self.adversary is not None and step >= self.adversary_config.start_step:
            if self.adversary_config.learns(step):
                self._teach(self.adversary, optimizers[-1], audio, decoded)
            losses |= self.adversary.generator_losses(audio, decoded, self.judged)
        inner = self._inner_losses(made, recorded) | faults
        joined = self.balancer.combine(losses, decoded, self._last_weight())
        plain = [getattr(self.weights, name) * loss for name, loss in inner.items()]
        total = (decoded * joined.gradient).sum() + torch.stack(plain).sum()
        size = self._descend(total, self._generator_parameters())
        if any_rank(~(total.isfinite() & size.isfinite())):
            copy_buffers(self.average, self.network)
            self.guard.skip(step, "a loss or a gradient")
            return
        optimizers[0].step()
        if matrices(self.network, self.optimizer):
            # Lightning counts the steps of every optimizer that it wraps; max_steps should count batches.
            optimizers[1].optimizer.step()
        update_average(self.average, self.network, self.optimizer.average_decay, step)
        self.guard.passed()
        self.log_dict({f"loss/{name}": loss.detach() for name, loss in (losses | inner).items()})
        self.log_dict({**joined.figures, "gradient/all": size, "skipped": float(self.guard.total)})
        self.log("rate", optimizers[0].param_groups[0]["lr"] / self.optimizer.rate)
        if "mel" in losses:
            self.log("mel", losses["mel"].detach(), prog_bar=True, logger=False)
        if quantize and (self.trainer.fit_loop.total_batch_idx + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._log_codes(made.counts.float())

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        if self.global_step <= self.quantize_from > 0:
            return  # there are no codebooks to measure yet
        self.figures.add(self.average, items(batch, self.codec))

    def on_validation_epoch_end(self) -> None:
        # Already the mean over processes.
        self.log_dict({f"valid/{name}": value for name, value in self.figures.means(self.device).items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["codec"] = to_json(self.codec)
        checkpoint["seed"] = self.seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "codec" in checkpoint:
            check_same(self.codec, from_json(checkpoint["codec"]), "The checkpoint")
        check_shapes(self.state_dict(), checkpoint["state_dict"], "The checkpoint")
        self.seed = int(checkpoint.get("seed", self.seed))

    def _generator_parameters(self) -> list[nn.Parameter]:
        projections = [part for part in (self.distill_codec, self.distill_features) if part is not None]
        return [p for part in (self.network, *projections) for p in part.parameters()]

    def _last_weight(self) -> torch.Tensor:
        return [p for p in self.network.decoder.parameters() if p.dim() > 1][-1]

    def _optimizers(self, share: float) -> list[Any]:
        """The optimizers, as `build_optimizers` has them, at a share of their rates."""
        found = self.optimizers()
        optimizers = found if isinstance(found, list) else [found]
        rates = full_rates(self.network, self.adversary is not None, self.optimizer)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * share
        for group in optimizers[0].param_groups[1:]:
            group["lr"] *= codebook_share(self.optimizer, self.global_step)
        return optimizers

    def _inner_losses(self, made: Reconstruction, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        losses = {"commitment": made.loss}
        if self.weights.distribution > 0:
            latents = made.latents.transpose(1, 2).flatten(0, 1).float()
            losses["distribution"] = sliced_distance(latents, "normal")
        if self.distill_codec is not None:
            losses["distill_codec"] = self.distill_codec(made.latents, audio)
        if self.distill_features is not None:
            losses["distill_features"] = self.distill_features(made.latents, audio)
        return losses

    def _teach(self, adversary: Adversary, optimizer: Any, real: torch.Tensor, fake: torch.Tensor) -> None:
        """One step of the discriminators, unless it is not finite."""
        loss = adversary.own_loss(real, fake)
        size = self._descend(loss, list(adversary.parameters()))
        if not any_rank(~(loss.isfinite() & size.isfinite())):
            optimizer.optimizer.step()  # not counted, as above
            self.log("loss/discriminator", loss.detach())

    def _descend(self, loss: torch.Tensor, parameters: list[nn.Parameter]) -> torch.Tensor:
        """Leaves the gradient, averaged over processes and clipped, in the parameters; returns its norm."""
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        average_gradients(parameters)
        return nn.utils.clip_grad_norm_(parameters, self.optimizer.clip)

    def _start_codebooks(self) -> None:
        if rank_and_size()[0] == 0:
            start_codebooks(self.network, self._start_audio())
        copy_from_first(self.network.quantizer)
        self.average.quantizer.load_state_dict(self.network.quantizer.state_dict())

    def _start_audio(self) -> torch.Tensor:
        """Segments `[n, audio_channels, samples]` of training audio, as many as start_seconds asks for."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.sample_rate != self.codec.sample_rate:
            raise ConfigError(
                f"The data come at {data.sample_rate} Hz and the codec works at {self.codec.sample_rate} Hz: "
                "set data.sample_rate to the codec's."
            )
        segments = data.segments
        seconds = segments[0].shape[-1] / data.sample_rate
        count = min(len(segments), max(1, math.ceil(self.start_seconds / seconds)))
        return items(torch.stack([segments[i] for i in range(count)]), self.codec).to(self.device)

    def _log_codes(self, counts: torch.Tensor) -> None:
        """Health of every codebook in this batch, from counts `[codebooks, size]`, and its own figures."""
        effective, used = perplexity(counts), (counts > 0).float().mean(1)
        for i, value in enumerate(effective):
            self.log(f"perplexity/{i:02d}", value)
            self.log(f"entropy/{i:02d}", value.log2())
            self.log(f"usage/{i:02d}", used[i])
        for part, stage in self.network.quantizer.named_modules():
            if isinstance(stage, Stage):
                self.log_dict({f"{name}/{part}": value for name, value in stage.figures().items()})


def _codec_distillation(
    codec: CodecConfig, weights: LossWeights, teacher: str | None
) -> CodecDistillation | None:
    if weights.distill_codec == 0:
        return None
    if teacher is None:
        raise ConfigError("weights.distill_codec needs a teacher: give the name or path of a model.")
    return CodecDistillation(codec, store.load(shipped.resolve(teacher))[0])


def _feature_distillation(
    codec: CodecConfig, weights: LossWeights, features: nn.Module | None
) -> FeatureDistillation | None:
    if weights.distill_features == 0:
        return None
    if features is None:
        raise ConfigError("weights.distill_features needs features: give the class_path of a module.")
    return FeatureDistillation(codec, features)
