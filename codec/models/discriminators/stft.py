"""The multi-scale STFT discriminator of EnCodec (Défossez et al. 2022, section 3.4).

Each scale looks at one resolution of the complex spectrogram, by convolutions over frames and frequencies:

    real, imaginary -> 3x9 -> 3x9 with time dilation 1, 2, 4 and frequency stride 2 -> 3x3 -> 3x3 -> logits
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.models.discriminators.base import ScaleOutput, complex_spectrogram, unit_window
from codec.nn import weight_norm

_SLOPE = 0.2


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Configuration of `MultiScaleStftDiscriminator`.

    channels: channels of every convolution.
    windows: STFT window of every scale, in samples.
    hop_ratio: window / hop of the STFT.
    dilations: time dilations of the convolutions that halve the frequencies.
    """

    channels: int = 32
    windows: tuple[int, ...] = (2048, 1024, 512, 256, 128)
    hop_ratio: int = 4
    dilations: tuple[int, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        if self.channels < 1 or self.hop_ratio < 1 or min(self.dilations, default=1) < 1:
            raise ConfigError("channels, hop_ratio and dilations of a discriminator must be positive.")
        if not self.windows or any(window < 1 or window % self.hop_ratio for window in self.windows):
            raise ConfigError(
                f"Every window of a discriminator must be a positive multiple of {self.hop_ratio}."
            )


class StftDiscriminator(nn.Module):
    """One scale: `[batch, 1, samples] -> ScaleOutput`; input shorter than the window is padded with zeros."""

    window: torch.Tensor

    def __init__(self, window: int, *, channels: int, hop_ratio: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self._hop_length = window // hop_ratio
        self.register_buffer("window", unit_window(window), persistent=False)
        convs = [_conv(2, channels, (3, 9))]
        convs += [_conv(channels, channels, (3, 9), stride=2, dilation=dilation) for dilation in dilations]
        convs += [_conv(channels, channels, (3, 3))]
        self.convs = nn.ModuleList(convs)
        self.judge = _conv(channels, 1, (3, 3))
        weight_norm(self)

    def spectrogram(self, x: torch.Tensor) -> torch.Tensor:
        """Real and imaginary part `[batch, 2, frames, bins]` of `[batch, 1, samples]`, always in float32."""
        return complex_spectrogram(x, self.window, self._hop_length)

    def forward(self, x: torch.Tensor) -> ScaleOutput:
        y = self.spectrogram(x).to(self.judge.weight.dtype)
        features = []
        for conv in self.convs:
            y = F.leaky_relu(conv(y), _SLOPE)
            features.append(y)
        return ScaleOutput(self.judge(y), features)


class MultiScaleStftDiscriminator(nn.Module):
    """`[batch, 1, samples] -> [ScaleOutput, ...]`, one for each window of the configuration."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            StftDiscriminator(
                window, channels=config.channels, hop_ratio=config.hop_ratio, dilations=config.dilations
            )
            for window in config.windows
        )

    def forward(self, x: torch.Tensor) -> list[ScaleOutput]:
        return [scale(x) for scale in self.scales]


def _conv(
    in_channels: int, out_channels: int, kernel_size: tuple[int, int], *, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """Keeps the number of frames; `stride` applies to frequencies, `dilation` to frames."""
    padding = (kernel_size[0] // 2 * dilation, kernel_size[1] // 2)
    return nn.Conv2d(
        in_channels, out_channels, kernel_size, stride=(1, stride), dilation=(dilation, 1), padding=padding
    )
