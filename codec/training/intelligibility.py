"""How intelligible decoded speech is, by short-time objective intelligibility (Taal et al. 2011, STOI)."""

from __future__ import annotations

import torch
from torch import nn

from codec.errors import ConfigError

# Section II: Hann frames of 25.6 ms, half overlapping, 15 bands of a third of an octave from 150 Hz on, 30
# frames (384 ms) compared at once, signal-to-distortion ratio bounded by 15 dB, range of 40 dB.
_FRAME, _BANDS, _LOWEST, _STRETCH = 0.0256, 15, 150.0, 30
_CLIP, _RANGE = 1 + 10 ** (15 / 20), 1e-4
# Stretches begin at every sixth frame: what they say differs little from one frame to the next.
_STEP = 6


class IntelligibilityLoss(nn.Module):
    """`1 - d`, d the mean correlation of decoded with recorded envelopes (equations 2 to 6), 0 at best.

    Frames have the same length at every sample rate, where the original resamples to 10 kHz.
    """

    window: torch.Tensor
    bank: torch.Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._size = round(_FRAME * sample_rate)
        self._hop = self._size // 2
        self._fft = 1 << (2 * self._size - 1).bit_length()
        frequencies = torch.arange(self._fft // 2 + 1) * sample_rate / self._fft
        centres = _LOWEST * 2 ** (torch.arange(_BANDS) / 3)
        low, high = centres * 2 ** (-1 / 6), centres * 2 ** (1 / 6)
        if float(high[-1]) > sample_rate / 2:
            raise ConfigError(f"The intelligibility loss needs audio at 10000 Hz or more, not {sample_rate}.")
        bank = (frequencies[:, None] >= low) & (frequencies[:, None] < high)
        self.register_buffer("window", torch.hann_window(self._size), persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of signals `[batch, 1, samples]`, float32.

        Items with less than 384 ms of speech say nothing; if all are so, or too short, the loss is 0.
        """
        if target.shape[-1] < self._size + (_STRETCH - 1) * self._hop:
            return 0 * decoded.sum()
        with torch.no_grad():
            recorded, energy = self._envelopes(target[:, 0])
            speech = energy > _RANGE * energy.amax(1, keepdim=True).clamp(min=1e-8)
            # Frames without speech are left out; those with it move together, in their order.
            order = speech.logical_not().long().argsort(dim=1, stable=True)
            whole = torch.arange(_STRETCH, speech.shape[1] + 1, _STEP, device=speech.device)
            valid = whole <= speech.sum(1, keepdim=True)
        made, _ = self._envelopes(decoded[:, 0])
        x, y = (self._stretches(z, order) for z in (recorded, made))
        scale = x.square().sum(3, keepdim=True).sqrt() / (y.square().sum(3, keepdim=True) + 1e-12).sqrt()
        y = torch.minimum(y * scale, x * _CLIP)
        x, y = (z - z.mean(3, keepdim=True) for z in (x, y))
        size = ((x.square().sum(3) + 1e-12) * (y.square().sum(3) + 1e-12)).sqrt()
        correlation = ((x * y).sum(3) / size).mean(1)
        count = valid.sum().clamp(min=1)
        return torch.where(valid, 1 - correlation, 0).sum() / count

    def _envelopes(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of x `[batch, samples]` the levels in bands `[batch, bands, frames]`, and energies of frames."""
        frames = x.unfold(-1, self._size, self._hop) * self.window
        spectrum = torch.fft.rfft(frames, self._fft)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.bank
        return (power + 1e-9).sqrt().transpose(1, 2), frames.square().sum(2)

    def _stretches(self, envelopes: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Envelopes in that order of frames, in stretches: `[batch, bands, stretches, frames]`."""
        placed = envelopes.gather(2, order[:, None].expand(-1, envelopes.shape[1], -1))
        return placed.unfold(2, _STRETCH, _STEP)
