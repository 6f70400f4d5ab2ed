"""Distillation: latents that also follow a frozen teacher codec, or features of a user's own module."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.models.config import CodecConfig
from codec.models.network import CodecNetwork

M = TypeVar("M", bound=nn.Module)


def _freeze(module: M) -> M:
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.eval()


class CodecDistillation(nn.Module):
    """Mean squared error between projected latents and those of a frozen teacher codec.

    Args:
        student: configuration of the codec in training.
        teacher: a codec at the same sample rate and frame rate.

    Raises:
        ConfigError: the rates differ.
    """

    def __init__(self, student: CodecConfig, teacher: CodecNetwork) -> None:
        super().__init__()
        config = teacher.config
        if (student.sample_rate, student.frame_rate) != (config.sample_rate, config.frame_rate):
            raise ConfigError(
                f"The teacher {config.name} has {config.sample_rate} Hz and {config.frame_rate} frames/s, "
                f"but the codec {student.sample_rate} Hz and {student.frame_rate}: they must be the same."
            )
        self.project = nn.Conv1d(student.latent_dim, config.latent_dim, 1)
        # In a tuple, so that the teacher is no part of checkpoints and optimizers.
        self._frozen = (_freeze(teacher),)

    def forward(self, latents: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """The loss of latents `[batch, latent_dim, frames]` of audio `[batch, 1, samples]`, a scalar."""
        (teacher,) = self._frozen
        teacher.to(audio.device)
        hop = teacher.config.hop_length
        with torch.no_grad():
            wanted, _ = teacher.encoder(F.pad(audio, (0, -audio.shape[-1] % hop)))
        frames = min(wanted.shape[-1], latents.shape[-1])
        return F.mse_loss(self.project(latents[..., :frames]).float(), wanted[..., :frames].float())


class FeatureDistillation(nn.Module):
    """`1 - cos` between projected latents and features of the same moment, mean over frames.

    Args:
        student: configuration of the codec in training.
        features: maps audio `[batch, 1, samples]` at the codec's rate to `[batch, dim, frames]`, at any frame
            rate; it is frozen.

    Raises:
        ConfigError: the module cannot do that.
    """

    def __init__(self, student: CodecConfig, features: nn.Module) -> None:
        super().__init__()
        self._frozen = (_freeze(features),)
        with torch.no_grad():
            try:
                made = features(torch.zeros(1, 1, student.sample_rate))
                shape = tuple(made.shape)
            except Exception as error:
                raise ConfigError(
                    f"The feature module {type(features).__name__} fails on one second of silence "
                    f"[1, 1, {student.sample_rate}]: {error}."
                ) from error
        if len(shape) != 3 or shape[0] != 1 or 0 in shape:
            raise ConfigError(
                f"The feature module {type(features).__name__} must return [batch, dim, frames], not a "
                f"tensor of shape {shape}."
            )
        self.project = nn.Conv1d(student.latent_dim, shape[1], 1)

    def forward(self, latents: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """The loss of latents `[batch, latent_dim, frames]` of audio `[batch, 1, samples]`, a scalar."""
        (features,) = self._frozen
        features.to(audio.device)
        with torch.no_grad():
            wanted = F.interpolate(features(audio).float(), latents.shape[-1], mode="linear")
        return 1 - F.cosine_similarity(self.project(latents).float(), wanted, dim=1).mean()
