"""What a listener is disturbed by, after the model of hearing of ITU-T P.862 and P.862.2 (PESQ, wideband).

Recordings are never aligned in time, which a codec does not need, and filters act on spectra. Means over 100
decoded clips at 0.5 to 8 kbps are within 0.09 of the standard's own program, their correlation is 0.97.
"""

from __future__ import annotations

import math

import torch
import torchaudio  # type: ignore[import-untyped]
from torch import nn

from codec.errors import ConfigError
from codec.training.bark_bands import BINS, CORRECTIONS, THRESHOLDS, WIDTHS

_RATE = 16000
_WINDOW, _HOP = 512, 256
# Frames that one of the joint disturbances is taken over.
_STRETCH = 20
# Samples at 16 kHz: a third of a second.
SHORTEST = _WINDOW + (_STRETCH - 1) * _HOP
# Section 10.2.3: all signals are brought to this power between 325 and 3250 Hz.
_POWER = 1e7
# Mean square below which a signal counts as silence and is not made louder still (-60 dB of full scale).
_SILENCE = 1e-6
_POWER_SCALE, _LOUDNESS_SCALE = 6.910853e-6, 0.1866055


class PerceptualLoss(nn.Module):
    """`0.1 d + 0.0309 d_a`, by which the score of P.862 falls below 4.5, of what lies below 8 kHz.

    d is the disturbance, d_a the one in which what was added counts more than what was left out (section
    10.2.10 to 10.2.15). It does not hear a constant filter, nor slow changes of level.

    Args:
        sample_rate: of the signals in Hz; they are brought to 16 kHz.

    Raises:
        ConfigError: the rate is lower than 16 kHz.
    """

    window: torch.Tensor
    bank: torch.Tensor
    middle: torch.Tensor
    thresholds: torch.Tensor
    exponents: torch.Tensor
    widths: torch.Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        if sample_rate < _RATE:
            raise ConfigError(f"The perceptual loss needs audio at {_RATE} Hz or more, not {sample_rate}.")
        self.to_16k = torchaudio.transforms.Resample(sample_rate, _RATE)
        frequencies = torch.arange(_WINDOW // 2 + 1, dtype=torch.float64) * _RATE / _WINDOW
        ends = torch.tensor(BINS).cumsum(0)
        numbers = torch.arange(len(frequencies))[:, None]
        bank = ((numbers < ends) & (numbers >= ends - torch.tensor(BINS)) & (numbers > 0)).double()
        bank = bank * _high_pass(frequencies)[:, None] * torch.tensor(CORRECTIONS) * _POWER_SCALE
        middle = (frequencies >= 325) & (frequencies <= 3250)
        widths = torch.tensor(WIDTHS, dtype=torch.float64)
        centres = widths.cumsum(0) - widths / 2
        exponents = 0.23 * (6 / (centres + 2)).clamp(1, 2) ** 0.15
        for name, values in (
            ("window", torch.hann_window(_WINDOW, dtype=torch.float64)),
            ("bank", bank),
            ("middle", middle),
            ("thresholds", torch.tensor(THRESHOLDS)),
            ("exponents", exponents),
            ("widths", widths[1:]),
        ):
            self.register_buffer(name, values.float(), persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The mean over items of signals `[batch, 1, samples]`, float32.

        Raises:
            ConfigError: the signals are shorter than a third of a second.
        """
        decoded, target = self.to_16k(decoded), self.to_16k(target)
        if decoded.shape[-1] < SHORTEST:
            raise ConfigError(
                f"Segments of {decoded.shape[-1] / _RATE:.3f} s are too short for the perceptual loss: use "
                f"{SHORTEST / _RATE:.3f} s or more, or set its weight to 0."
            )
        with torch.no_grad():
            reference = self._bands(target[:, 0])
            spoken = self._audible(reference, 100) >= 1e7
        made = self._bands(decoded[:, 0])
        # A constant filter is not heard: the reference gets that of the decoded signal.
        means = [
            torch.where((x > 100 * self.thresholds) & spoken[..., None], x, 0).mean(1)
            for x in (made, reference)
        ]
        reference = reference * ((means[0] + 1000) / (means[1] + 1000)).clamp(0.01, 100)[:, None]
        # Nor are slow changes of level.
        loudness = self._audible(reference)
        gain = (loudness + 5e3) / (self._audible(made) + 5e3)
        gain = torch.cat([gain[:, :1], 0.8 * gain[:, 1:] + 0.2 * gain[:, :-1]], dim=1)
        made = made * gain.clamp(3e-4, 5)[..., None]
        heard, wanted = self._loudness(made), self._loudness(reference)
        difference = heard - wanted
        difference = difference.sign() * (difference.abs() - 0.25 * torch.minimum(heard, wanted)).clamp(min=0)
        added = ((made + 50) / (reference + 50)) ** 1.2
        added = torch.where(added < 3, 0, added.clamp(max=12))
        weighted, width = self.widths * difference[..., 1:], self.widths.sum()
        weight = ((loudness + 1e5) / 1e7) ** -0.04
        plain = (width * (weighted.square().sum(2) + 1e-12)).sqrt() * weight
        asymmetric = (weighted * added[..., 1:]).abs().sum(2) * weight
        return (0.1 * _joint(plain) + 0.0309 * _joint(asymmetric)).mean()

    def _bands(self, x: torch.Tensor) -> torch.Tensor:
        """Powers in bands `[batch, frames, bands]` of x `[batch, samples]`, brought to the common level."""
        frames = torch.fft.rfft(x.unfold(-1, _WINDOW, _HOP) * self.window)
        power = frames.real.square() + frames.imag.square()
        # The mean square of the signal between 325 and 3250 Hz, by that of its frames.
        scale = 2 * _HOP / (_WINDOW * self.window.square().sum() * (x.shape[-1] + 5120) * 1.04684)
        level = (power @ self.middle).sum(1) * scale
        return (power @ self.bank) * (_POWER / (level + _SILENCE))[:, None, None]

    def _audible(self, x: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        """The power `[batch, frames]` in bands that are above the threshold of hearing, times factor."""
        return torch.where(x > factor * self.thresholds, x, 0)[..., 1:].sum(2)

    def _loudness(self, x: torch.Tensor) -> torch.Tensor:
        """Loudness in sone per Bark (Zwicker's law, section 10.2.9)."""
        above = (0.5 + 0.5 * x / self.thresholds) ** self.exponents - 1
        loud = _LOUDNESS_SCALE * (2 * self.thresholds) ** self.exponents * above
        return torch.where(x > self.thresholds, loud, 0)


def _high_pass(frequencies: torch.Tensor) -> torch.Tensor:
    """The power response of the input filter of P.862.2, at frequencies in Hz."""
    z = torch.exp(-2j * math.pi * frequencies / _RATE)
    above = 2.740826 - 5.4816519 * z + 2.740826 * z**2
    return (above / (1 - 1.9444777 * z + 0.94597794 * z**2)).abs() ** 2


def _joint(disturbance: torch.Tensor) -> torch.Tensor:
    """Of frames `[batch, frames]` the one of items: the 6-norm in stretches, the 2-norm over these."""
    stretches = disturbance.clamp(max=45).unfold(1, _STRETCH, _STRETCH // 2)
    return ((stretches + 1e-6) ** 6).mean(2).pow(1 / 6).square().mean(1).sqrt()
