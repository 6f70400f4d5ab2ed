"""What every discriminator says, and the spectrogram that two families of them look at."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F


class ScaleOutput(NamedTuple):
    """What one scale says: logits `[batch, 1, ...]`, and the features of every layer before them."""

    logits: torch.Tensor
    features: list[torch.Tensor]


def unit_window(size: int) -> torch.Tensor:
    """A Hann window `[size]` of unit energy, with which all scales see white noise at the same level."""
    taper = torch.hann_window(size)
    return taper / taper.square().sum().sqrt()


def complex_spectrogram(x: torch.Tensor, window: torch.Tensor, hop_length: int) -> torch.Tensor:
    """Real and imaginary part `[batch, 2, frames, bins]` of `[batch, 1, samples]`, always in float32.

    Input shorter than the window is padded with zeros.
    """
    # Autocast lowers convolutions, never an STFT; the casts are for models that are lowered as a whole.
    x = F.pad(x[:, 0].float(), (0, max(0, len(window) - x.shape[-1])))
    spectrum = torch.stft(
        x, len(window), hop_length, window=window.float(), center=False, return_complex=True
    )
    return torch.view_as_real(spectrum).permute(0, 3, 2, 1).contiguous()
