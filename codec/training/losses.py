"""Reconstruction losses: spectra in several ways, samples, levels, and what a listener is disturbed by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.training.buzz import BuzzLoss
from codec.training.intelligibility import IntelligibilityLoss
from codec.training.perceptual import PerceptualLoss
from codec.training.similarity import SimilarityLoss
from codec.training.spectral_losses import SpectralLosses
from codec.training.timbre import TimbreLoss
from codec.training.tones import TonesLoss

RECONSTRUCTION = (
    "mel",
    "complex",
    "stft",
    "waveform",
    "level",
    "timbre",
    "perceptual",
    "intelligibility",
    "similarity",
    "tones",
    "buzz",
)


# Losses of what should not be there at all. A share of the gradient would go on when nothing is left of it.
FAULTS = ("tones", "buzz")


@dataclass(frozen=True)
class LossConfig:
    """Resolutions and shape of the reconstruction losses.

    windows: analysis windows of the mel and the complex loss in samples, each with a hop of a quarter.
    windows_per_step: how many of them a step draws at random; 0 for all. Fewer take less time.
    floor: magnitude that counts as silence, relative to full scale.
    compression: exponent on magnitudes in the complex loss (Ephrat et al. 2018: 0.3).
    stft_windows: windows of the multi-resolution STFT loss in samples, each with a hop of a quarter.
    """

    windows: tuple[int, ...] = (2048, 1024, 512, 256, 128)
    windows_per_step: int = 0
    floor: float = 1e-4
    compression: float = 0.4
    stft_windows: tuple[int, ...] = (2048, 1024, 512)

    def __post_init__(self) -> None:
        for name in ("windows", "stft_windows"):
            windows = getattr(self, name)
            if not windows or any(size < 16 or size % 4 for size in windows):
                raise ConfigError(f"{name} of the losses must be multiples of 4 from 16 on, not {windows}.")
        if not 0 <= self.windows_per_step <= len(self.windows):
            raise ConfigError(f"windows_per_step of the losses is from 0 to {len(self.windows)} windows.")
        if not (self.floor > 0 and 0 < self.compression <= 1):
            raise ConfigError("floor must be positive, and compression above 0 and at most 1.")


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; a loss of weight 0 is not computed.

    mel, complex, stft, waveform, level, timbre, perceptual, intelligibility, similarity, adversarial,
        feature: balanced against each other (`balancer`).
    tones, buzz: plain factors, for what should not be there at all (`FAULTS`).
    commitment, distribution, distill_codec, distill_features: plain factors; these losses do not act on the
        audio. distribution draws latents to a standard normal distribution
        (`quantize.analysis.sliced_distance`).
    """

    mel: float = 1.0
    complex: float = 1.0
    stft: float = 0.0
    waveform: float = 0.0
    level: float = 0.0
    timbre: float = 0.0
    perceptual: float = 0.0
    intelligibility: float = 0.0
    similarity: float = 0.0
    tones: float = 0.0
    buzz: float = 0.0
    adversarial: float = 0.5
    feature: float = 0.5
    commitment: float = 1.0
    distribution: float = 0.0
    distill_codec: float = 0.0
    distill_features: float = 0.0

    def __post_init__(self) -> None:
        negative = [name for name, weight in vars(self).items() if not weight >= 0]
        if negative:
            raise ConfigError(f"The loss weight {negative[0]} cannot be negative.")
        if not any(getattr(self, name) for name in RECONSTRUCTION):
            raise ConfigError(f"One of the losses {', '.join(RECONSTRUCTION)} needs a weight above 0.")


class ReconstructionLosses(nn.Module):
    """The losses between decoded and recorded audio `[batch, 1, samples]` that have a weight, by name.

    mel, complex: see `SpectralLosses.forward`.
    stft: spectral convergence and log magnitude (Yamamoto et al. 2020, equations 4 to 6), by auraloss.
    waveform: mean absolute difference of samples.
    level: mean absolute difference of the logarithms of items' root mean squares. The others make audio
        quieter by what the codes leave open, which is not heard as loss but as a lower volume.
    timbre, tones, buzz: see `TimbreLoss`, `TonesLoss`, `BuzzLoss`. perceptual, intelligibility, similarity:
        see `PerceptualLoss`, `IntelligibilityLoss`, `SimilarityLoss`; of speech.
    """

    def __init__(self, config: LossConfig, weights: LossWeights, sample_rate: int, frame_length: int) -> None:
        super().__init__()
        self.names = tuple(name for name in RECONSTRUCTION if getattr(weights, name) > 0)
        self._longest = 0
        self.spectral: SpectralLosses | None = None
        wanted = [name for name in ("mel", "complex") if name in self.names]
        if wanted:
            self.spectral = SpectralLosses(
                config.windows,
                config.floor,
                config.compression,
                sample_rate,
                tuple(wanted),
                config.windows_per_step,
            )
            self._longest = max(config.windows)
        self.stft: nn.Module | None = None
        if "stft" in self.names:
            sizes = list(config.stft_windows)
            self._longest = max(self._longest, *sizes)
            self.stft = MultiResolutionSTFTLoss(sizes, [size // 4 for size in sizes], sizes)

        # Made only where they have a weight: some refuse sample rates.
        others: dict[str, Callable[[], nn.Module]] = {
            "timbre": lambda: TimbreLoss(sample_rate),
            "perceptual": lambda: PerceptualLoss(sample_rate),
            "intelligibility": lambda: IntelligibilityLoss(sample_rate),
            "buzz": lambda: BuzzLoss(sample_rate, frame_length),
            "tones": lambda: TonesLoss(sample_rate),
            "similarity": lambda: SimilarityLoss(sample_rate),
        }
        self.others = nn.ModuleDict({name: make() for name, make in others.items() if name in self.names})

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses, each a scalar.

        Raises:
            ConfigError: the signals are not longer than half of the longest window.
        """
        if decoded.shape[-1] <= self._longest // 2:
            raise ConfigError(
                f"Segments of {decoded.shape[-1]} samples are too short for a window of {self._longest}: use "
                "longer segments, or remove the longest windows of the losses."
            )
        losses: dict[str, torch.Tensor] = {}
        # Spectra need float32 also where the network runs in bfloat16.
        with torch.autocast(decoded.device.type, enabled=False):
            decoded, target = decoded.float(), target.float()
            if self.spectral is not None:
                losses.update(self.spectral(decoded, target))
            if self.stft is not None:
                losses["stft"] = self.stft(decoded.contiguous(), target.contiguous())
            if "waveform" in self.names:
                losses["waveform"] = F.l1_loss(decoded, target)
            if "level" in self.names:
                losses["level"] = F.l1_loss(_log_level(decoded), _log_level(target))
            losses |= {name: loss(decoded, target) for name, loss in self.others.items()}
        return losses


def _log_level(x: torch.Tensor) -> torch.Tensor:
    """Natural logarithm of the root mean square of each item, `[batch]`; silence counts as -80 dB."""
    return 0.5 * torch.log(x.square().mean((1, 2)) + 1e-8)
