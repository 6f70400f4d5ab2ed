"""Muon: momentum whose singular values are made alike, for matrices (Jordan 2024).

PyTorch has it too, but always multiplies in bfloat16, which takes a hundred times as long on processors
without instructions for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from codec.training.precision import fast_bfloat16

_MOMENTUM, _STEPS = 0.95, 5
# Of the polynomial a s + b s^3 + c s^5; five times, it takes singular values from 0.003 on to 0.7 to 1.2.
_A, _B, _C = 3.4445, -4.775, 2.0315


class Muon(torch.optim.Optimizer):
    """Moves each matrix by its orthogonalised Nesterov momentum, as far as AdamW typically would.

    That is by `rate * 0.2 sqrt(max(rows, columns))` times a matrix whose singular values are about 1 (Liu et
    al. 2025, equation 4), after a decay of `rate * weight_decay`.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], rate: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; matrices without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                momentum = state["momentum_buffer"].lerp_(matrix.grad, 1 - _MOMENTUM)
                update = orthogonal(matrix.grad.lerp(momentum, _MOMENTUM))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)
        return loss


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix `[rows, columns]` with the same singular vectors and, nearly, singular values of one."""
    # bfloat16 is enough.
    x = matrix.to(torch.bfloat16 if fast_bfloat16(matrix.device) else torch.float32)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return (x.T if tall else x).to(matrix.dtype)
