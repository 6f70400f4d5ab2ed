"""Faster ways, on a CPU without gradients, to compute what `torch.nn.functional` computes.

Results differ from those of the plain functions only by rounding. Where a gradient is wanted, a graph is
exported or compiled, or the computation is on another device, the plain functions are used.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from codec.nn import cpu_training

# From this many rows on, oneDNN's matrix product is faster than the BLAS behind `F.linear`: at 256 rows twice
# as fast on an AMD processor, where MKL does not use all that the processor has.
_ROWS = 16

# Up to so many steps a transposed convolution is one matrix product.
_STEPS = 16

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def is_plain(x: torch.Tensor) -> bool:
    """Whether x must go through the plain functions."""
    return (
        torch.is_grad_enabled()
        or x.device.type != "cpu"
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch.is_autocast_enabled("cpu")
    )


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`x weight^T + bias` of x `[..., in]` and weight `[out, in]`: `[..., out]`."""
    if is_plain(x):
        return F.linear(x, weight, bias)
    if not _HAS_ONEDNN or x.dtype != torch.float32 or x.numel() < _ROWS * x.shape[-1]:
        # As one matrix: for a batch of small ones PyTorch takes another, slower product.
        return F.linear(x.reshape(-1, x.shape[-1]), weight, bias).unflatten(0, x.shape[:-1])
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def pointwise(x: torch.Tensor, convolution: torch.nn.Conv1d) -> torch.Tensor:
    """A convolution with kernel 1, `[batch, in, time] -> [batch, out, time]`.

    Channels end up next to each other in memory, which is how the layers after it want them.
    """
    if is_plain(x) and not cpu_training.applies(x):
        return convolution(x)
    return linear(x.transpose(1, 2), convolution.weight[:, :, 0], convolution.bias).transpose(1, 2)


def wide_pointwise(x: torch.Tensor, convolution: torch.nn.Conv1d) -> torch.Tensor:
    """As `pointwise`, summed in float64 and rounded once, whatever the type of x; without gradients.

    With gradients, under autocast, compiled, and on devices without float64 it is a plain convolution.
    """
    device, dtype = x.device.type, convolution.weight.dtype
    plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()
    if plain or device == "mps" or torch.is_autocast_enabled(device):
        return pointwise(x.to(dtype), convolution)
    bias = None if convolution.bias is None else convolution.bias.double()
    y = linear(x.transpose(1, 2).double(), convolution.weight[:, :, 0].double(), bias)
    return y.to(dtype).transpose(1, 2)


def depthwise(x: torch.Tensor, convolution: torch.nn.Conv1d) -> torch.Tensor:
    """A convolution of each channel by itself, `[batch, channels, time] -> [batch, channels, time]`.

    A weighted sum of shifted inputs: PyTorch's convolution has a start-up cost of ten frames' work, and in
    float64 computes one channel after the other.
    """
    if is_plain(x):
        return convolution(x)
    steps = x.transpose(1, 2)
    taps = convolution.weight[:, 0].T.contiguous()
    bias = x.new_zeros(x.shape[1]) if convolution.bias is None else convolution.bias
    dilation = convolution.dilation[0]
    frames = steps.shape[1] - (len(taps) - 1) * dilation
    if frames == 1:
        return (steps[:, ::dilation] * taps).sum(1, keepdim=True).add_(bias).transpose(1, 2)
    y = torch.addcmul(bias, steps[:, :frames], taps[0])
    for number in range(1, len(taps)):
        y.addcmul_(steps[:, number * dilation : number * dilation + frames], taps[number])
    return y.transpose(1, 2)


def transposed(x: torch.Tensor, convolution: torch.nn.ConvTranspose1d) -> torch.Tensor:
    """A transposed convolution without its bias.

    `[batch, in, time] -> [batch, out, (time - 1) stride + taps]`. Of few steps, with two strides of taps: one
    product, whose two halves are added a stride apart. PyTorch takes up to 15 times as long for that.
    """
    weight, stride = convolution.weight, convolution.stride[0]
    batch, channels, time = x.shape
    fits = convolution.groups == 1 and weight.shape[2] == 2 * stride and time <= _STEPS
    if is_plain(x) or not fits:
        return F.conv_transpose1d(x, weight, stride=stride, groups=convolution.groups)
    made = x.transpose(1, 2).reshape(-1, channels) @ weight.flatten(1)
    halves = made.view(batch, time, -1, 2, stride).permute(3, 0, 2, 1, 4)
    return (F.pad(halves[0], (0, 0, 0, 1)) + F.pad(halves[1], (0, 0, 1, 0))).flatten(-2)
