"""Attention inside windows that do not overlap (SNAC, Siuzdak et al. 2024, section 3.4)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError

_HEAD = 64


class LocalAttention(nn.Module):
    """`x + attention(norm(x))` on `[batch, channels, time]`, time a multiple of the window.

    Heads of 64 dimensions, with rotary positions (Su et al. 2021) that start anew in every window.
    """

    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        if channels % _HEAD:
            raise ConfigError(f"Attention needs a multiple of {_HEAD} channels, not {channels}.")
        self.window = window
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, time = x.shape
        # [3, batch, heads, windows, steps, head].
        split = self.to_qkv(self.norm(x.transpose(1, 2))).view(
            batch, time // self.window, self.window, 3, channels // _HEAD, _HEAD
        )
        q, k, v = split.permute(3, 0, 4, 1, 2, 5)
        cosine, sine = self._rotation(x)
        y = F.scaled_dot_product_attention(_turn(q, cosine, sine), _turn(k, cosine, sine), v)
        return x + self.to_out(y.permute(0, 2, 3, 1, 4).reshape(batch, time, channels)).transpose(1, 2)

    def _rotation(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Rounded to float32 as in the package, whose checkpoints hold the frequencies.
        frequencies = 1.0 / 10000 ** (torch.arange(0, _HEAD, 2, device=like.device).float() / _HEAD)
        steps = torch.arange(self.window, device=like.device, dtype=like.dtype)
        angles = steps[:, None] * frequencies.to(like.dtype)
        return angles.cos(), angles.sin()


def _turn(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotates the pairs (i, i + head / 2) of `[..., steps, head]` by angles `[steps, head / 2]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
