"""The multi-band multi-resolution discriminator of DAC (Kumar et al. 2023, section 3.4).

As the multi-scale STFT discriminator, but each band of the spectrum has convolutions of its own, which keeps
high frequencies from being judged by what fits low ones:

    real, imaginary -> bands -> 3x9, 3x9 with frequency stride 2 (three times), 3x3 -> joined -> 3x3 -> logits
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.models.discriminators.base import ScaleOutput, complex_spectrogram, unit_window
from codec.nn import weight_norm

_SLOPE = 0.1


@dataclass(frozen=True)
class BandConfig:
    """Configuration of `MultiBandDiscriminator`.

    windows: STFT window of every scale, in samples, each with a hop of a quarter.
    borders: inner borders of the bands, as shares of the spectrum.
    channels: channels of every convolution.
    """

    windows: tuple[int, ...] = (2048, 1024, 512)
    borders: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75)
    channels: int = 32

    def __post_init__(self) -> None:
        edges = (0.0, *self.borders, 1.0)
        if not all(a < b for a, b in pairwise(edges)):
            raise ConfigError("Band borders must rise strictly between 0 and 1.")
        if not self.windows or self.channels < 1 or any(w < 64 or w % 4 for w in self.windows):
            raise ConfigError("Windows must be multiples of 4 from 64 on, and channels positive.")


class BandDiscriminator(nn.Module):
    """One resolution: `[batch, 1, samples] -> ScaleOutput` with logits `[batch, 1, frames, bins]`."""

    window: torch.Tensor

    def __init__(self, window: int, borders: tuple[float, ...], channels: int) -> None:
        super().__init__()
        self.register_buffer("window", unit_window(window), persistent=False)
        bins = window // 2 + 1
        edges = [0, *(round(share * bins) for share in borders), bins]
        self._bands = [(a, b) for a, b in pairwise(edges) if b > a]
        self.bands = nn.ModuleList(self._stack(channels) for _ in self._bands)
        self.judge = nn.Conv2d(channels, 1, (3, 3), padding=(1, 1))
        weight_norm(self)

    @staticmethod
    def _stack(channels: int) -> nn.ModuleList:
        convs = [nn.Conv2d(2, channels, (3, 9), padding=(1, 4))]
        convs += [nn.Conv2d(channels, channels, (3, 9), stride=(1, 2), padding=(1, 4)) for _ in range(3)]
        return nn.ModuleList([*convs, nn.Conv2d(channels, channels, (3, 3), padding=(1, 1))])

    def forward(self, x: torch.Tensor) -> ScaleOutput:
        parts = complex_spectrogram(x, self.window, len(self.window) // 4)
        features, judged = [], []
        for (first, last), convs in zip(self._bands, self.bands, strict=True):
            y = parts[..., first:last].to(self.judge.weight.dtype)
            for conv in convs:  # type: ignore[attr-defined]
                y = F.leaky_relu(conv(y), _SLOPE)
                features.append(y)
            judged.append(y)
        return ScaleOutput(self.judge(torch.cat(judged, dim=-1)), features)


class MultiBandDiscriminator(nn.Module):
    """`[batch, 1, samples] -> [ScaleOutput, ...]`, one for each resolution."""

    def __init__(self, config: BandConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            BandDiscriminator(window, config.borders, config.channels) for window in config.windows
        )

    def forward(self, x: torch.Tensor) -> list[ScaleOutput]:
        return [scale(x) for scale in self.scales]
