"""Data-dependent start of convolutions: every layer's output has mean 0 and variance 1 on real audio.

Salimans and Kingma 2016 ("Weight normalization", section 3), one pass through the layers in order. With
the usual random weights the signal shrinks from layer to layer, and after a dozen of them the biases are all
that is left: the latents hardly depend on the audio, and codebooks that start from them collapse.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from codec.nn import CausalConv1d, CausalConvTranspose1d, CentredConv1d, StreamModule


@torch.no_grad()
def unit_variance(network: StreamModule, x: torch.Tensor) -> torch.Tensor:
    """Rescales all convolutions in place; returns what the network then makes of x `[batch, in, time]`."""
    kinds = (CausalConv1d, CausalConvTranspose1d)
    handles = [
        part.register_forward_hook(_normalize) for part in network.modules() if isinstance(part, kinds)
    ]
    try:
        y, _ = network(x)
    finally:
        for handle in handles:
            handle.remove()
    return y


@torch.no_grad()
def scale_output(layer: CausalConv1d | CentredConv1d, factor: float) -> None:
    """Multiplies what a convolution gives by a factor."""
    layer.conv.weight = layer.conv.weight * factor  # through the weight norm, if there is one
    if layer.conv.bias is not None:
        layer.conv.bias.mul_(factor)


def _normalize(
    layer: CausalConv1d | CausalConvTranspose1d, inputs: Any, output: tuple[torch.Tensor, Any]
) -> tuple[torch.Tensor, Any]:
    y, state = output
    conv = layer.conv
    mean, deviation = y.mean((0, 2)), y.std((0, 2)).clamp(min=1e-5)
    across = (1, -1, 1) if isinstance(conv, nn.ConvTranspose1d) else (-1, 1, 1)
    conv.weight = conv.weight / deviation.view(across)
    if conv.bias is not None:
        conv.bias.copy_((conv.bias - mean) / deviation)
        y = y - mean[:, None]
    return y / deviation[:, None], state
