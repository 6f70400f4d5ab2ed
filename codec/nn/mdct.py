"""The modified discrete cosine transform as a causal strided convolution, and its inverse by overlap-add.

Analysis and synthesis share one orthonormal basis; together they return the input one hop later, exactly up
to rounding (Princen and Bradley 1986).
"""

from __future__ import annotations

from functools import cache

import torch
from torch.nn import functional as F

from codec.filter_bank import mdct_basis
from codec.nn.inference import linear
from codec.nn.sequential import State, StreamModule


@cache
def _wide_basis(hop_length: int, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(mdct_basis(hop_length)).to(device, torch.float64)


class MdctAnalysis(StreamModule):
    """`[batch, 1, samples] -> [batch, hop_length, frames]`; the window of a frame reaches one hop back.

    Without gradients the result is float64, on devices that have it; states and samples stay as they are.
    """

    basis: torch.Tensor

    def __init__(self, hop_length: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.from_numpy(mdct_basis(hop_length)), persistent=False)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        hop = self.stride
        x = x.to(self.basis.dtype)
        x = torch.cat([state, x], dim=-1) if isinstance(state, torch.Tensor) else F.pad(x, (hop, 0))
        blocks = x[:, 0].unflatten(-1, (-1, hop))
        windows = torch.cat([blocks[:, :-1], blocks[:, 1:]], dim=-1)
        basis = self.basis
        if not (torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type == "mps"):
            basis = _wide_basis(hop, x.device)
        # Autocast would round the filter bank, and with it the audio, to 8 bits.
        with torch.autocast(x.device.type, enabled=False):
            return linear(windows.to(basis.dtype), basis).transpose(1, 2), x[..., -hop:]

    @property
    def history(self) -> int:
        return self.stride

    @property
    def stride(self) -> int:
        return self.basis.shape[0]

    def settled(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x[..., self.stride :], x[..., : self.stride])[0]


class MdctSynthesis(StreamModule):
    """`[batch, hop_length, frames] -> [batch, 1, samples]`; output lags the analysed input by one hop."""

    basis: torch.Tensor

    def __init__(self, hop_length: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.from_numpy(mdct_basis(hop_length)), persistent=False)

    def forward(self, x: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        hop = self.basis.shape[0]
        with torch.autocast(x.device.type, enabled=False):
            windows = linear(x.to(self.basis.dtype).transpose(1, 2), self.basis.T)
        head, tail = windows[..., :hop], windows[..., hop:]
        overlap = state if isinstance(state, torch.Tensor) else torch.zeros_like(tail[:, :1])
        y = head + torch.cat([overlap, tail[:, :-1]], dim=1)
        return y.flatten(1)[:, None], tail[:, -1:]

    @property
    def history(self) -> int:
        return 1

    @property
    def upsampling(self) -> int:
        return self.basis.shape[0]
