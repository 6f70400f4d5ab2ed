"""The multi-period discriminator of HiFi-GAN (Kong et al. 2020, section 2.3).

Each scale folds the waveform into rows of one period, so that its convolutions see every p-th sample:

    samples -> [rows, period] -> 5x1 convolutions with stride 3 along the rows -> 3x1 -> logits
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.models.discriminators.base import ScaleOutput
from codec.nn import weight_norm

_SLOPE = 0.1


@dataclass(frozen=True)
class PeriodConfig:
    """Configuration of `MultiPeriodDiscriminator`.

    periods: samples per row of every scale; primes overlap least.
    channels: channels after each convolution; all but the last have stride 3.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)

    def __post_init__(self) -> None:
        if not self.periods or not self.channels or min(*self.periods, *self.channels) < 1:
            raise ConfigError("A multi-period discriminator needs positive periods and channels.")


class PeriodDiscriminator(nn.Module):
    """One period: `[batch, 1, samples] -> ScaleOutput` with logits `[batch, 1, rows, period]`."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self._period = period
        before = (1, *channels[:-1])
        last = len(channels) - 1
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, (5, 1), stride=(3 if i < last else 1, 1), padding=(2, 0))
            for i, (a, b) in enumerate(zip(before, channels, strict=True))
        )
        self.judge = nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0))
        weight_norm(self)

    def forward(self, x: torch.Tensor) -> ScaleOutput:
        x = F.pad(x, (0, -x.shape[-1] % self._period))
        y = x.unflatten(-1, (-1, self._period))
        features = []
        for conv in self.convs:
            y = F.leaky_relu(conv(y), _SLOPE)
            features.append(y)
        return ScaleOutput(self.judge(y), features)


class MultiPeriodDiscriminator(nn.Module):
    """`[batch, 1, samples] -> [ScaleOutput, ...]`, one for each period."""

    def __init__(self, config: PeriodConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PeriodDiscriminator(period, config.channels) for period in config.periods)

    def forward(self, x: torch.Tensor) -> list[ScaleOutput]:
        return [scale(x) for scale in self.scales]
