"""Depthwise convolutions on a CPU, with gradients, compiled by Numba: in a quarter of PyTorch's time.

Results differ by rounding alone. Numba comes with the extra `train`; without it, on other devices, and where
a graph is traced or compiled, layers use PyTorch's own functions.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import torch


@cache
def _kernels() -> ModuleType | None:
    try:
        from codec.first_use import alone
        from codec.nn import cpu_kernels
    except ImportError:
        return None
    with alone("cpu-kernels"):
        cpu_kernels.compile_all()
    return cpu_kernels


def applies(x: torch.Tensor) -> bool:
    """Whether x, in training on a CPU, may go through the functions of this module."""
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype != torch.float64
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and _kernels() is not None
    )


def depthwise_norm(x: torch.Tensor, convolution: torch.nn.Conv1d, norm: torch.nn.LayerNorm) -> torch.Tensor:
    """A causal depthwise convolution from the start of a stream, then layer normalisation, in float32.

    Args:
        x: `[batch, frames, channels]`.
        convolution: of each channel by itself, stride and dilation 1.
        norm: over channels.
    """
    taps, bias = convolution.weight[:, 0].T, convolution.bias
    made: torch.Tensor = _DepthwiseNorm.apply(x.float(), taps, bias, norm.weight, norm.bias, norm.eps)
    return made


class _DepthwiseNorm(torch.autograd.Function):
    """Inputs `[batch, frames, channels]`, taps `[taps, channels]`, and three vectors of channels."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        taps: torch.Tensor,
        bias: torch.Tensor,
        gain: torch.Tensor,
        offset: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        kernels = _kernels()
        assert kernels is not None
        x, taps = x.contiguous(), taps.contiguous()
        y, normal, scale = torch.empty_like(x), torch.empty_like(x), x.new_empty(x.shape[:2])
        kernels.depthwise_norm(*_arrays(x, taps, bias, gain, offset), eps, *_arrays(y, normal, scale))
        ctx.save_for_backward(x, taps, gain, normal, scale)
        return y

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kernels = _kernels()
        assert kernels is not None
        x, taps, gain, normal, scale = ctx.saved_tensors
        outer = outer.float().contiguous()
        by_x = torch.zeros_like(x)
        # One row of sums for each item of the batch, which threads fill without waiting for each other.
        by_taps = x.new_zeros(len(x), *taps.shape)
        by_others = x.new_zeros(len(x), 3, x.shape[2])
        kernels.depthwise_norm_gradients(
            *_arrays(x, taps, gain, normal, scale, outer), *_arrays(by_x, by_taps, by_others)
        )
        bias, gain, offset = by_others.sum(0)
        return by_x, by_taps.sum(0), bias, gain, offset, None


def _arrays(*tensors: torch.Tensor) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]
