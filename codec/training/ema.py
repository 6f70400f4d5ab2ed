"""A running average of a network's weights, which validates and ships better than the last step's weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def averaged_copy(network: M) -> M:
    """A copy of the network that no optimizer touches."""
    copied = copy.deepcopy(network).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """`average <- d average + (1 - d) network`, `d = min(decay, (1 + step) / (10 + step))`; buffers as is."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)
    copy_buffers(network, average)


@torch.no_grad()
def copy_buffers(source: nn.Module, target: nn.Module) -> None:
    """Gives target the buffers of source, which has the same ones: codebooks and their averages."""
    for buffer, copied in zip(source.buffers(), target.buffers(), strict=True):
        copied.copy_(buffer)
