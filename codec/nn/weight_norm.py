"""Weight normalisation (Salimans and Kingma 2016): a weight learned as length and direction, `g v / |v|`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize


def weight_norm(module: nn.Module) -> None:
    """Give the weight of every convolution in `module` a length and a direction per entry of its first axis.

    That axis holds output channels, or the input channels of a transposed convolution, as in EnCodec.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
    for part in list(module.modules()):
        if isinstance(part, kinds) and not parametrize.is_parametrized(part):
            parametrizations.weight_norm(part, dim=0)


def fold_weight_norm(module: nn.Module) -> None:
    """Replace every normalised weight in `module` by its value, in place; outputs stay the same.

    Afterwards `weight` is a plain parameter, which costs nothing to read and is what a released model stores.
    """
    for part in list(module.modules()):
        if parametrize.is_parametrized(part, "weight"):
            weight = nn.Parameter(torch.as_tensor(part.weight).detach().clone())
            # torch's remove_parametrizations edits the class, which copies of a module share: folding a copy
            # with it breaks the original, such as the model in training whose average is exported.
            plain = parametrize.type_before_parametrizations(part)
            del part.parametrizations
            part.__class__ = plain
            part.weight = weight
