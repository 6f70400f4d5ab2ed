"""Whether decoded audio whistles: its spectrum over seconds, line by line, against that of the recording.

Of what codes leave open, a decoder that has no noise to fill in makes steady tones, at the frequencies of a
few of its coefficients. The other losses look at frames of 20 to 80 ms in bands of hearing, and take them for
the noise that was there. `codec.evaluation.tones` measures them.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.evaluation.tones import EXPONENT, FLOOR, FRAME, FRAMES, LOWEST, NEIGHBOURS

# What chance makes of noise in two seconds, in units of 10 dB, and more.
_FREE = 0.3


class TonesLoss(nn.Module):
    """Mean square, in units of 10 dB, of how much lines of the spectrum stand out from their neighbours.

    Counted is by how much more they do, or less, than in the recording, beyond 3 dB.
    """

    window: torch.Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._size = round(FRAME * sample_rate)
        self._hop = self._size // 4
        self._first = round(LOWEST * self._size / sample_rate)
        window = torch.hann_window(self._size)
        scale = (window.square().sum() * self._size).sqrt()
        self.register_buffer("window", window / scale, persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of signals `[batch, 1, samples]`, float32; of ones shorter than eight frames it is 0."""
        if target.shape[-1] < FRAMES * self._size:
            return 0 * decoded.sum()
        more = self._lines(decoded[:, 0]) - self._lines(target[:, 0])
        width = 2 * NEIGHBOURS + 1
        around = F.avg_pool1d(more[:, None], width, 1, NEIGHBOURS, count_include_pad=False)[:, 0]
        return ((more - around).abs() - _FREE).clamp(min=0).square().mean()

    def _lines(self, x: torch.Tensor) -> torch.Tensor:
        """Levels `[batch, lines]` of x `[batch, samples]` over all of it, in units of 10 dB."""
        spectrum = torch.fft.rfft(x.unfold(-1, self._size, self._hop) * self.window)[..., self._first : -1]
        power = spectrum.real.square() + spectrum.imag.square() + FLOOR
        return power.pow(EXPONENT).mean(1).log10() / EXPONENT
