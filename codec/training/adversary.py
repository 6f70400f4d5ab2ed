"""Discriminators as a source of losses: what they learn, and what they tell the generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.models.discriminators import (
    BandConfig,
    DiscriminatorConfig,
    MultiBandDiscriminator,
    MultiPeriodDiscriminator,
    MultiScaleStftDiscriminator,
    PeriodConfig,
    ScaleOutput,
)

Objective = Literal["hinge", "least_squares"]


@dataclass(frozen=True)
class AdversaryConfig:
    """By which discriminators, from when on, and how, the decoded audio is judged.

    start_step: first step with discriminators; -1 trains without.
    probability: that the discriminators learn in a step; below 1 they fall behind on purpose.
    objective: "hinge" (EnCodec) or "least_squares" (HiFi-GAN, DAC).
    stft, period, band: the discriminators, any of them together; null leaves one out.
    """

    start_step: int = 0
    probability: float = 1.0
    objective: Objective = "hinge"
    stft: DiscriminatorConfig | None = None
    period: PeriodConfig | None = None
    band: BandConfig | None = None

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ConfigError(f"probability must be above 0 and at most 1, not {self.probability}.")
        if self.start_step < -1:
            raise ConfigError("start_step is a step, or -1 for no discriminators.")

    @property
    def present(self) -> bool:
        """Whether there is anyone to judge."""
        return self.start_step >= 0 and any((self.stft, self.period, self.band))

    def learns(self, step: int) -> bool:
        """Whether the discriminators learn in this step: the same in every process and in a resumed run."""
        draw = torch.rand((), generator=torch.Generator().manual_seed(step))
        return bool(draw < self.probability)


class Adversary(nn.Module):
    """All discriminators as one list of scales: `[batch, 1, samples] -> [ScaleOutput, ...]`."""

    def __init__(self, config: AdversaryConfig) -> None:
        super().__init__()
        self._objective = config.objective
        self.judges = nn.ModuleDict()
        if config.stft is not None:
            self.judges["stft"] = MultiScaleStftDiscriminator(config.stft)
        if config.period is not None:
            self.judges["period"] = MultiPeriodDiscriminator(config.period)
        if config.band is not None:
            self.judges["band"] = MultiBandDiscriminator(config.band)

    def forward(self, x: torch.Tensor) -> list[ScaleOutput]:
        return [scale for judge in self.judges.values() for scale in judge(x)]

    def own_loss(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """What the discriminators minimise, given recorded and decoded audio."""
        return discriminator_loss(_logits(self(real)), _logits(self(fake.detach())), self._objective)

    def generator_losses(
        self, real: torch.Tensor, fake: torch.Tensor, names: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """The losses "adversarial" and "feature" for the generator, those of them that are named."""
        losses: dict[str, torch.Tensor] = {}
        judged = self(fake)
        if "adversarial" in names:
            losses["adversarial"] = adversarial_loss(_logits(judged), self._objective)
        if "feature" in names:
            with torch.no_grad():
                wanted = self(real)
            losses["feature"] = feature_loss([x.features for x in wanted], [x.features for x in judged])
        return losses


def _logits(outputs: list[ScaleOutput]) -> list[torch.Tensor]:
    return [output.logits.float() for output in outputs]


def discriminator_loss(
    real: list[torch.Tensor], fake: list[torch.Tensor], objective: Objective = "hinge"
) -> torch.Tensor:
    """Loss of the discriminators, mean over scales.

    Hinge: `max(0, 1 - D(x)) + max(0, 1 + D(x'))` (EnCodec, equation after (6)).
    Least squares: `(1 - D(x))^2 + D(x')^2` (Mao et al. 2017; HiFi-GAN, equation 1).
    """
    if objective == "hinge":
        terms = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    else:
        terms = [(1 - r).square().mean() + f.square().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def adversarial_loss(fake: list[torch.Tensor], objective: Objective = "hinge") -> torch.Tensor:
    """Loss of the generator, mean over scales.

    Hinge: `max(0, 1 - D(x'))` (EnCodec, section 3.4). Least squares: `(1 - D(x'))^2` (HiFi-GAN, equation 2).
    """
    terms = [F.relu(1 - f).mean() if objective == "hinge" else (1 - f).square().mean() for f in fake]
    return torch.stack(terms).mean()


def feature_loss(real: list[list[torch.Tensor]], fake: list[list[torch.Tensor]]) -> torch.Tensor:
    """Relative feature matching (EnCodec, equation 2): `mean |f - f'| / mean |f|`, mean over all layers."""
    terms = [
        F.l1_loss(f.float(), r.detach().float()) / r.detach().float().abs().mean().clamp(min=1e-8)
        for reals, fakes in zip(real, fake, strict=True)
        for r, f in zip(reals, fakes, strict=True)
    ]
    return torch.stack(terms).mean()
