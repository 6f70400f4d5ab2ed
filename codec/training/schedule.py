"""How large the steps are: learning rates, warm-up, decay and clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from codec.errors import ConfigError


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with a linear warm-up, a constant rate, and a cosine decay to zero at the trainer's end.

    rate: learning rate of the generator. discriminator_rate: of the discriminators.
    betas: of AdamW. weight_decay: of AdamW, generator only. clip: largest norm of a gradient.
    matrices: how the generator's linear layers learn: by AdamW as all else, or by Muon (Jordan 2024), whose
        steps are orthogonalised momentum, as large as AdamW's typically are (Liu et al. 2025, section 2.2).
    matrix_rate: learning rate of these layers with Muon, as a multiple of `rate`.
    warmup_steps, decay_steps: lengths of the warm-up and of the final decay, in steps.
    codebook_rate: learning rate of codebooks that learn by gradient, as a multiple of `rate`.
    codebook_warmup_steps: length of a warm-up of theirs alone, in steps.
    average_decay: of the running average of the weights.
    skip_limit: steps in a row that may be skipped because something in them is not finite.
    """

    rate: float = 5e-4
    discriminator_rate: float = 3e-4
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 0.01
    clip: float = 5.0
    matrices: Literal["adamw", "muon"] = "adamw"
    matrix_rate: float = 1.0
    warmup_steps: int = 100
    decay_steps: int = 2000
    codebook_rate: float = 1.0
    codebook_warmup_steps: int = 0
    average_decay: float = 0.999
    skip_limit: int = 20

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.discriminator_rate > 0 and self.clip > 0):
            raise ConfigError("rate, discriminator_rate and clip of the optimizer must be positive.")
        if self.codebook_rate < 0 or self.codebook_warmup_steps < 0:
            raise ConfigError("codebook_rate and codebook_warmup_steps cannot be negative.")
        if not self.matrix_rate > 0:
            raise ConfigError("matrix_rate of the optimizer must be positive.")
        if min(self.warmup_steps, self.decay_steps) < 0 or self.skip_limit < 1:
            raise ConfigError("warmup_steps and decay_steps cannot be negative, nor skip_limit below 1.")
        if not 0 <= self.average_decay < 1:
            raise ConfigError(f"average_decay must be from 0 to below 1, not {self.average_decay}.")


def rate_share(config: OptimizerConfig, step: int, last: int) -> float:
    """Learning rate at a step as a share of the configured one; `last` steps in all, or -1 for no end."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = max(0, last - step) / max(1, config.decay_steps)
    return warm if last <= 0 or left >= 1 else warm * 0.5 * (1 - math.cos(math.pi * left))


def codebook_share(config: OptimizerConfig, step: int) -> float:
    """Learning rate of the codebooks at a step, as a share of that of the other weights."""
    return config.codebook_rate * min(1.0, (step + 1) / max(1, config.codebook_warmup_steps))
