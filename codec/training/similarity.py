"""How alike decoded and recorded speech look to hearing: neurogram similarity (Hines and Harte 2012).

It is what ViSQOL (Hines et al. 2015) is made of. It sees what is missing or added in every band of hearing,
quiet ones too, which measures of loudness and of intelligibility weigh less.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError

# As ViSQOL's program has them for speech: 21 bands of gammatone filters, frames of 80 ms.
_BANDS, _LOWEST, _HIGHEST, _FRAME = 21, 50.0, 8000.0, 0.08
# Glasberg and Moore 1990: the ear's filter at f Hz is `24.7 + f / 9.26449` Hz wide, and the gammatone of
# fourth order that is as wide has 1.019 of it for its parameter.
_QUALITY, _NARROWEST, _SPREAD = 9.26449, 24.7, 1.019
# Levels are in units of 2 dB. Full scale less this much, or the loudest band less this much, is the least.
_RANGE = 45.0
# Weights of a level and its neighbours in time and frequency.
_CENTRE, _SIDE, _CORNER = 0.619485845753726, 0.0838251475442633, 0.0113033910173052
# Added to products of levels. What is added to variances steadies what hardly varies: the original's 0.00045
# would give it gradients that are large and all noise.
_ALIKE, _STEADY = 0.01, 0.05
# Of a frame with speech the loudest band is within 40 dB of the item's, and 10 dB above the least.
_SPOKEN, _AUDIBLE = 20.0, 5.0


class SimilarityLoss(nn.Module):
    """`1 - s`, 0 at best; s is the mean over bands and frames of l c.

    Around each level, l is the similarity of means, `l = 2 a b / (a^2 + b^2)`, and c the correlation of
    variations, `c = cov(a, b) / (sd(a) sd(b))`.

    Raises:
        ConfigError: the sample rate is lower than 16 kHz.
    """

    window: torch.Tensor
    bank: torch.Tensor
    kernel: torch.Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        if sample_rate < 2 * _HIGHEST:
            raise ConfigError(f"The similarity loss needs audio at 16000 Hz or more, not {sample_rate}.")
        self._size = round(_FRAME * sample_rate)
        self._hop = self._size // 4
        self._fft = 1 << (self._size - 1).bit_length()
        frequencies = torch.arange(self._fft // 2 + 1, dtype=torch.float64) * sample_rate / self._fft
        offset = _QUALITY * _NARROWEST
        low, high = math.log(_LOWEST + offset), math.log(_HIGHEST + offset)
        centres = torch.exp(low + (high - low) * torch.arange(_BANDS, dtype=torch.float64) / _BANDS) - offset
        spread = _SPREAD * (_NARROWEST + centres / _QUALITY)
        bank = (1 + ((frequencies[:, None] - centres) / spread).square()) ** -4
        window = torch.hann_window(self._size, periodic=False, dtype=torch.float64)
        kernel = [[_CORNER, _SIDE, _CORNER], [_SIDE, _CENTRE, _SIDE], [_CORNER, _SIDE, _CORNER]]
        self.register_buffer("window", window.float(), persistent=False)
        # Scaled so that a sum over lines is the mean square of what a filter lets through.
        self.register_buffer("bank", (bank * 2 / (self._fft * self._size)).float(), persistent=False)
        self.register_buffer("kernel", torch.tensor(kernel)[None, None], persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The mean over frames with speech of signals `[batch, 1, samples]`, float32.

        Of signals without any, or shorter than a frame, it is 0.
        """
        if target.shape[-1] < self._size:
            return 0 * decoded.sum()
        made, recorded = self._levels(decoded[:, 0]), self._levels(target[:, 0])
        with torch.no_grad():
            loudest = recorded.amax(1)
            spoken = loudest > (loudest.amax(1, keepdim=True) - _SPOKEN).clamp(min=_AUDIBLE - _RANGE)
            floor = (torch.maximum(made.amax(1), loudest) - _RANGE).clamp(min=-_RANGE)[:, None]
            lowest = torch.maximum(torch.minimum(made, recorded), floor).amin((1, 2), keepdim=True)
        a, b = (torch.maximum(levels, floor) - lowest for levels in (made, recorded))
        products = torch.stack([a, b, a * a, b * b, a * b], 1).flatten(0, 1)[:, None]
        around = F.conv2d(F.pad(products, (1, 1, 1, 1), mode="replicate"), self.kernel)
        a, b, aa, bb, ab = around[:, 0].unflatten(0, (-1, 5)).unbind(1)
        alike = (2 * a * b + _ALIKE) / (a * a + b * b + _ALIKE)
        # Rounding makes variances negative, by less than what is added.
        correlated = (ab - a * b + _STEADY) / ((aa - a * a + _STEADY) * (bb - b * b + _STEADY)).sqrt()
        different = 1 - (alike * correlated).mean(1)
        return torch.where(spoken, different, 0).sum() / spoken.sum().clamp(min=1)

    def _levels(self, x: torch.Tensor) -> torch.Tensor:
        """Levels `[batch, bands, frames]` of x `[batch, samples]`, in units of 2 dB."""
        spectrum = torch.fft.rfft(x.unfold(-1, self._size, self._hop) * self.window, self._fft)
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.bank
        return 5 * torch.log10(power + 1e-11).transpose(1, 2)
