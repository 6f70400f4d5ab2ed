"""DAC's decoder without padding, as its own files want it for recordings in windows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.models.dac import DacDecoder
from codec.nn.snake import SnakeUnit, SnakeUp


def decode_unpadded(decoder: DacDecoder, latents: torch.Tensor) -> torch.Tensor:
    """Samples `[batch, 1, samples]` of latents `[batch, dim, frames]`; so many as `DacModel.window_samples`.

    Convolutions give what they have all input for, transposed ones all that their input reaches.
    """
    return _run(decoder.model, latents)


def _run(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    match module:
        case nn.Sequential():
            for part in module:
                x = _run(part, x)
            return x
        case SnakeUp():
            return _run(module.block, x)
        case SnakeUnit():
            y = _run(module.block, x)
            lost = (x.shape[-1] - y.shape[-1]) // 2
            return x[..., lost : x.shape[-1] - lost] + y
        case nn.Conv1d():
            return F.conv1d(x, module.weight, module.bias, module.stride, 0, module.dilation, module.groups)
        case nn.ConvTranspose1d():
            return F.conv_transpose1d(x, module.weight, module.bias, module.stride)
        case _:
            made: torch.Tensor = module(x)
            return made
