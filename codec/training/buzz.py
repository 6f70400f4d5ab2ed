"""Whether decoded audio buzzes: levels that rise and fall with every frame, unlike those of the recording.

A decoder makes every frame alike, and may put more into one part of it than into another. At 50 frames a
second that is heard as roughness.
"""

from __future__ import annotations

import torch
from torch import nn

# Of a frame: how many parts are compared, and how long a window is, in parts.
_PARTS, _WINDOW = 8, 3
# Hz that a band has, about.
_BAND = 1000.0
# Mean square that counts as silence (-80 dB of full scale).
_FLOOR = 1e-8


class BuzzLoss(nn.Module):
    """Mean square, in units of 10 dB, of how levels of bands differ between the parts of a frame.

    Counted is what they differ more, or less, than in the recording; over all items and frames together, for
    in one item any part may be louder by chance.

    Args:
        sample_rate: Hz. frame_length: samples of a frame; items begin where a frame does.
    """

    window: torch.Tensor
    bank: torch.Tensor

    def __init__(self, sample_rate: int, frame_length: int) -> None:
        super().__init__()
        self._hop = max(1, frame_length // _PARTS)
        self._size = _WINDOW * self._hop
        self._frame = frame_length
        lines = torch.arange(self._size // 2)
        bands = max(1, min(len(lines), round(sample_rate / 2 / _BAND)))
        bank = lines[:, None] * bands // len(lines) == torch.arange(bands)
        window = torch.hann_window(self._size)
        scale = (window.square().sum() * self._size).sqrt()
        self.register_buffer("window", window / scale, persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of signals `[batch, 1, samples]`, float32; of ones shorter than two frames it is 0."""
        if target.shape[-1] < 2 * self._frame:
            return 0 * decoded.sum()
        return (self._parts(decoded[:, 0]) - self._parts(target[:, 0])).square().mean()

    def _parts(self, x: torch.Tensor) -> torch.Tensor:
        """Mean levels `[parts, bands]` of x `[batch, samples]` in units of 10 dB, less those of the frame."""
        frames = (x.shape[-1] - self._size) // self._frame
        # Of a frame that the parts do not divide, the rest is left out.
        starts = x.unfold(-1, self._size, 1)[:, : frames * self._frame].unflatten(1, (frames, -1))
        spectrum = torch.fft.rfft(starts[:, :, : _PARTS * self._hop : self._hop] * self.window)[..., 1:]
        power = (spectrum.real.square() + spectrum.imag.square()) @ self.bank
        levels = torch.log10(power + _FLOOR).mean((0, 1))
        return levels - levels.mean(0)
