"""Latents that learn from a frozen teacher codec, or from features of a user's module."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from codec.errors import ConfigError
from codec.models import store
from codec.models.network import CodecNetwork
from codec.training.distill import CodecDistillation, FeatureDistillation
from tests.training.small import CODEC, fit, training, weights


class Loudness(nn.Module):
    """Features of a user: level and slope of blocks of 10 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        blocks = self.scale * audio[..., : audio.shape[-1] // 160 * 160].unflatten(-1, (-1, 160))
        return torch.cat([blocks.square().mean(-1), blocks.diff().abs().mean(-1), 1 + 0 * blocks[..., 0]], 1)


def teacher(**changes: int) -> CodecNetwork:
    torch.manual_seed(3)
    return CodecNetwork(dataclasses.replace(CODEC, name="teacher", latent_dim=20, **changes))  # type: ignore[arg-type]


def test_the_distance_to_the_teacher_is_its_formula(segments: torch.Tensor) -> None:
    made = CodecDistillation(CODEC, teacher())
    wanted, _ = teacher().encoder(segments[:2])
    latents = torch.randn(2, 16, 101)
    expected = (made.project(latents)[..., :100] - wanted).square().mean()
    torch.testing.assert_close(made(latents, segments[:2]), expected)


def test_features_are_compared_by_angle_at_the_latents_frames(segments: torch.Tensor) -> None:
    made = FeatureDistillation(CODEC, Loudness())
    latents = torch.randn(2, 16, 101)
    loss = made(latents, segments[:2])
    assert 0 < float(loss.detach()) < 2
    wanted = nn.functional.interpolate(Loudness()(segments[:2]), 101, mode="linear")
    made.project = nn.Identity()  # type: ignore[assignment]
    assert made(7 * wanted.detach(), segments[:2]).item() == pytest.approx(0, abs=1e-5)
    assert made(-wanted.detach(), segments[:2]).item() == pytest.approx(2, abs=1e-5)


def test_teachers_are_frozen_and_stay_out_of_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    store.save(teacher(), path)
    features = Loudness()
    module = training(
        weights=weights(distill_codec=1.0, distill_features=0.5), teacher=str(path), features=features
    )
    names = [name for name in module.state_dict() if name.startswith("distill")]
    assert sorted(names) == [
        f"distill_{kind}.project.{leaf}" for kind in ("codec", "features") for leaf in ("bias", "weight")
    ]
    before = {name: module.state_dict()[name].clone() for name in names}
    _, log = fit(module, 5)
    assert features.scale.grad is None
    assert float(features.scale) == 1
    for name in names:
        assert not torch.equal(module.state_dict()[name], before[name]), f"{name} has not learned"
    for column in ("loss/distill_codec", "loss/distill_features"):
        assert log.steps[-1][column] < log.steps[0][column]


def test_latents_learn_from_the_teacher() -> None:
    made = FeatureDistillation(CODEC, Loudness())
    latents = torch.randn(1, 16, 50, requires_grad=True)
    made(latents, torch.randn(1, 1, 4000)).backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0


def test_a_teacher_at_another_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match="they must be the same"):
        CodecDistillation(CODEC, teacher(sample_rate=24000))


class Flat(nn.Module):
    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return audio.mean(-1)


class Broken(nn.Module):
    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        raise IndexError("no such layer")


def test_a_feature_module_that_cannot_work_is_refused_before_training() -> None:
    with pytest.raises(ConfigError, match=r"Flat must return \[batch, dim, frames\]"):
        FeatureDistillation(CODEC, Flat())
    with pytest.raises(ConfigError, match=r"Broken fails on one second of silence .*: no such layer"):
        FeatureDistillation(CODEC, Broken())


def test_a_weight_without_a_teacher_is_refused() -> None:
    with pytest.raises(ConfigError, match="distill_codec needs a teacher"):
        training(weights=weights(distill_codec=1.0))
    with pytest.raises(ConfigError, match="distill_features needs features"):
        training(weights=weights(distill_features=1.0))
