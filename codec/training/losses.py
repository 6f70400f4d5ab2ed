"""Reconstruction losses: log-mel magnitudes and compressed complex spectra at several resolutions."""

from __future__ import annotations

from dataclasses import dataclass

import librosa
import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class SpectralLossConfig:
    """Resolutions and shape of the reconstruction losses.

    windows: lengths of the analysis windows in samples, each with a hop of a quarter.
    floor: magnitude that counts as silence, relative to full scale.
    compression: exponent on magnitudes in the complex loss (Ephrat et al. 2018: 0.3).
    """

    windows: tuple[int, ...] = (2048, 1024, 512, 256, 128)
    floor: float = 1e-4
    compression: float = 0.4


class SpectralLosses(nn.Module):
    """Two losses from one set of short-time Fourier transforms of signals `[batch, 1, samples]`."""

    def __init__(self, config: SpectralLossConfig, sample_rate: int) -> None:
        super().__init__()
        self.config = config
        for size in config.windows:
            window = torch.hann_window(size)
            # Unit energy: a sample of noise of level s gives magnitudes of about s, whatever the window.
            self.register_buffer(f"window_{size}", window / window.square().sum().sqrt(), persistent=False)
            mel = torch.from_numpy(librosa.filters.mel(sr=sample_rate, n_fft=size, n_mels=_bands(size)))
            mel = mel / mel.sum(1, keepdim=True).clamp(min=1e-8)
            self.register_buffer(f"mel_{size}", mel, persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mel loss and the complex loss, each a scalar, averaged over the resolutions.

        Mel: mean absolute difference of `log(mel magnitude + floor)`.
        Complex: mean squared difference of `|S|^c e^(i arg S)` and of `|S|^c` (Braun and Tashev 2021,
        equation 4).
        """
        mel_loss, complex_loss = decoded.new_zeros(()), decoded.new_zeros(())
        # Spectra need float32 also where the network runs in bfloat16.
        with torch.autocast(decoded.device.type, enabled=False):
            for size in self.config.windows:
                a, b = (self._stft(x.float(), size) for x in (decoded, target))
                a_mag, b_mag = (torch.sqrt(x.real.square() + x.imag.square() + 1e-10) for x in (a, b))
                mel = getattr(self, f"mel_{size}")
                floor = self.config.floor
                mel_loss = mel_loss + F.l1_loss(
                    torch.log(mel @ a_mag + floor), torch.log(mel @ b_mag + floor)
                )
                c = self.config.compression
                a_gain, b_gain = a_mag ** (c - 1), b_mag ** (c - 1)
                difference = torch.view_as_real(a * a_gain) - torch.view_as_real(b * b_gain)
                complex_loss = (
                    complex_loss + difference.square().sum(-1).mean() + F.mse_loss(a_mag**c, b_mag**c)
                )
        n = len(self.config.windows)
        return mel_loss / n, complex_loss / n

    def _stft(self, x: torch.Tensor, size: int) -> torch.Tensor:
        window = getattr(self, f"window_{size}")
        return torch.stft(x[:, 0], size, size // 4, window=window, return_complex=True)


def _bands(window: int) -> int:
    """Mel bands for a window: as many as it can resolve, at most 128."""
    return min(128, window // 8)


def discriminator_loss(real: list[torch.Tensor], fake: list[torch.Tensor]) -> torch.Tensor:
    """Hinge loss of the discriminators (EnCodec, equation after (6)): scalar, mean over scales."""
    terms = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def adversarial_loss(fake: list[torch.Tensor]) -> torch.Tensor:
    """Hinge loss of the generator (EnCodec, section 3.4): scalar, mean over scales."""
    return torch.stack([F.relu(1 - f).mean() for f in fake]).mean()


def feature_loss(real: list[list[torch.Tensor]], fake: list[list[torch.Tensor]]) -> torch.Tensor:
    """Relative feature matching (EnCodec, equation 2): `mean |f - f'| / mean |f|`, mean over all layers."""
    terms = [
        F.l1_loss(f, r.detach()) / r.detach().abs().mean().clamp(min=1e-8)
        for reals, fakes in zip(real, fake, strict=True)
        for r, f in zip(reals, fakes, strict=True)
    ]
    return torch.stack(terms).mean()
