"""What several training processes must agree on; with one process, nothing happens here.

The step averages gradients itself instead of leaving it to `DistributedDataParallel`, whose hooks expect one
backward pass a step in which every parameter takes part. Here generator and discriminators take turns, and
the balancer differentiates by the audio first. EnCodec's training does the same for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import distributed, nn


def rank_and_size() -> tuple[int, int]:
    """Number of this process, and of all of them."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def mean_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """Mean of x over all processes, in place."""
    _, size = rank_and_size()
    if size > 1:
        distributed.all_reduce(x)
        x.div_(size)
    return x


def any_rank(flag: torch.Tensor) -> bool:
    """Whether the flag, a boolean scalar, is set in any process; the same answer in all of them."""
    return bool(mean_over_ranks(flag.float()) > 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes; one that is missing counts as zero."""
    if rank_and_size()[1] == 1:
        return
    parameters = [p for p in parameters if p.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    # One message instead of hundreds.
    joint = mean_over_ranks(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, mean in zip(gradients, joint.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


@torch.no_grad()
def copy_from_first(module: nn.Module) -> None:
    """Gives all processes the parameters and buffers of the first."""
    if rank_and_size()[1] > 1:
        for tensor in chain(module.parameters(), module.buffers()):
            distributed.broadcast(tensor, 0)
