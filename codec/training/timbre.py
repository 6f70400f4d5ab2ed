"""Whether decoded audio is as bright as it was: levels in bands of hearing over a quarter of a second.

What codes leave open, the other losses make quieter, most of all in the treble; and the perceptual loss
cannot hear it, since P.862 takes a constant filter for the telephone's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

_FRAME, _HOP, _STRETCH = 0.064, 0.016, 16
# Mean square within a band that counts as silence (-70 dB of full scale).
_FLOOR = 1e-7
_HIGHEST = 16000.0


class TimbreLoss(nn.Module):
    """Mean absolute difference of the natural logarithms of bands' root mean squares.

    Bands are one Bark wide (Traunmueller 1990: `z = 26.81 f / (1960 + f) - 0.53`), up to 16 kHz or half of
    the sample rate; levels are means over 16 frames of 64 ms, 0.3 s in all.
    """

    window: torch.Tensor
    bank: torch.Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._size, self._hop = round(_FRAME * sample_rate), round(_HOP * sample_rate)
        frequencies = np.arange(self._size // 2 + 1) * sample_rate / self._size
        bark = 26.81 * frequencies / (1960 + frequencies) - 0.53
        bands = np.clip(np.floor(bark), 0, None).astype(np.int64)
        heard = (frequencies >= 50) & (frequencies <= _HIGHEST)
        bank = np.eye(bands.max() + 1)[bands] * heard[:, None]
        # A band of one or two lines at the upper end is no band of its own; some lie above what counts.
        bank = bank[:, bank.sum(0) >= 3]
        window = torch.hann_window(self._size)
        # Then a sum over lines is the mean square of what lies in the band.
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        scale = 2 / self._size
        self.register_buffer("bank", torch.from_numpy(bank * scale).float(), persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of signals `[batch, 1, samples]`, float32; shorter ones than a frame end in silence."""
        return F.l1_loss(self._levels(decoded[:, 0]), self._levels(target[:, 0]))

    def _levels(self, x: torch.Tensor) -> torch.Tensor:
        """Logarithms `[batch, stretches, bands]` of root mean squares of x `[batch, samples]`."""
        x = F.pad(x, (0, max(0, self._size - x.shape[-1])))
        spectrum = torch.fft.rfft(x.unfold(-1, self._size, self._hop) * self.window)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.bank
        stretch = min(_STRETCH, power.shape[1])
        means = power.unfold(1, stretch, max(1, stretch // 2)).mean(-1)
        return 0.5 * torch.log(means + _FLOOR)
