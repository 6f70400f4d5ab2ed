"""Codebooks that follow averages of their vectors, and the replacement of codes that nobody uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from codec.quantize import CosineConfig, EuclideanConfig, GumbelConfig
from codec.quantize.cosine import CosineStage
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.gumbel import GumbelStage
from codec.quantize.learned import LearnedStage
from codec.quantize.usage import dead_codes, perplexity, replacements
from codec.quantize.vq_vae import GradientStage


def test_one_step_is_the_formula() -> None:
    torch.manual_seed(0)
    g, eps = 0.9, 1e-5
    stage = EuclideanStage(EuclideanConfig(decay=g), 3, 2)
    before = stage.codebook.clone()
    x, codes = torch.randn(5, 2), torch.tensor([0, 0, 2, 0, 2])
    stage.learn(x, codes, restart_below=0)
    n = g * torch.ones(3) + (1 - g) * torch.tensor([3.0, 0.0, 2.0])
    m = g * before + (1 - g) * torch.stack([x[[0, 1, 3]].sum(0), torch.zeros(2), x[[2, 4]].sum(0)])
    smoothed = (n + eps) / (n.sum() + 3 * eps) * n.sum()
    torch.testing.assert_close(stage.codebook, m / smoothed[:, None])


def test_fixed_assignments_converge_to_the_means() -> None:
    torch.manual_seed(0)
    stage = EuclideanStage(EuclideanConfig(decay=0.9), 16, 4)
    x, codes = torch.randn(500, 4), torch.randint(16, (500,))
    for _ in range(300):
        stage.learn(x, codes, restart_below=0)
    means = torch.stack([x[codes == k].mean(0) for k in range(16)])
    torch.testing.assert_close(stage.codebook, means, rtol=1e-4, atol=1e-4)


def test_a_batch_without_vectors_changes_nothing() -> None:
    stage = EuclideanStage(EuclideanConfig(), 4, 2)
    before = stage.codebook.clone()
    stage.learn(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), restart_below=0.5)
    assert torch.equal(stage.codebook, before)


@pytest.mark.parametrize("lookup", ["euclidean", "cosine"])
def test_usage_recovers_from_a_collapse(lookup: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2000, 6)
    stage: EuclideanStage | CosineStage
    if lookup == "euclidean":
        stage = EuclideanStage(EuclideanConfig(decay=0.9), 32, 6)
    else:
        stage = CosineStage(CosineConfig(dim=4), 32, 6)
    with torch.no_grad():
        stage.codebook.copy_(torch.full_like(stage.codebook, 100.0))
        stage.codebook[0] = 0.1
    assert len(stage.search(x).unique()) <= 2
    for _ in range(300):
        stage.learn(x, stage.search(x), restart_below=0.1)
    counts = torch.bincount(stage.search(x), minlength=32)
    assert (counts > 0).all()
    assert perplexity(counts.float()) > 16


def test_without_restarts_the_collapse_stays() -> None:
    torch.manual_seed(0)
    stage, x = EuclideanStage(EuclideanConfig(decay=0.9), 32, 6), torch.randn(2000, 6)
    stage.codebook.fill_(100.0)[0] = 0
    stage.sums.copy_(stage.codebook)
    for _ in range(50):
        stage.learn(x, stage.search(x), restart_below=0)
    assert len(stage.search(x).unique()) == 1


def test_dead_is_a_share_of_uniform_usage() -> None:
    usage = torch.tensor([10.0, 0.9, 1.1, 28.0])  # 10 each if uniform
    assert dead_codes(usage, 0.1).tolist() == [1]
    assert dead_codes(usage, 0).tolist() == []


def test_replacements_are_different_vectors() -> None:
    x = torch.arange(10.0)[:, None]
    fresh = replacements(x, torch.full((8, 1), -1.0))
    assert len(fresh.unique()) == 8
    assert torch.isin(fresh, x).all()
    some = replacements(x[:3], torch.full((8, 1), -1.0))
    assert sorted(some[:, 0].tolist()) == [-1.0] * 5 + [0.0, 1.0, 2.0]


def test_perplexity_is_two_to_the_entropy() -> None:
    counts = torch.tensor([[4.0, 4.0, 4.0, 4.0], [5.0, 0.0, 0.0, 0.0], [2.0, 1.0, 1.0, 0.0]])
    torch.testing.assert_close(perplexity(counts), torch.tensor([4.0, 1.0, 2**1.5]))
    assert math.isclose(float(perplexity(torch.ones(1024))), 1024, rel_tol=1e-5)


def _rank(rank: int, folder: str) -> None:
    """One of two training processes: learns from its half of the batch and stores what it has then."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name in STAGES:
        stage, x = _stage_and_batch(name)
        for step in range(3):
            half = x[step].chunk(2)[rank]
            stage.learn(half, stage.search(half), restart_below=0)
        torch.save(stage.state_dict(), f"{folder}/{name}{rank}.pt")
        torch.manual_seed(rank)
        half = x[0].chunk(2)[rank]
        stage.usage.zero_()[0] = 1
        stage.learn(half, torch.zeros(len(half), dtype=torch.long), restart_below=0.9)  # all others are dead
        torch.save(stage.state_dict(), f"{folder}/{name}_renewed{rank}.pt")
    distributed.destroy_process_group()


STAGES: dict[str, Callable[[], EuclideanStage | LearnedStage]] = {
    "average": lambda: EuclideanStage(EuclideanConfig(decay=0.5), 8, 4),
    "average_split": lambda: EuclideanStage(EuclideanConfig(decay=0.5), 8, 4, upkeep="split"),
    "average_cluster": lambda: EuclideanStage(EuclideanConfig(decay=0.5), 8, 4, upkeep="cluster"),
    "gradient": lambda: GradientStage(EuclideanConfig(learning="gradient"), 8, 4, upkeep="cluster_sampled"),
    "cosine": lambda: CosineStage(CosineConfig(dim=3), 8, 4),
    "gumbel": lambda: GumbelStage(GumbelConfig(), 8, 4, upkeep="split"),
}


def _stage_and_batch(name: str) -> tuple[EuclideanStage | LearnedStage, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(3, 200, 4)
    return STAGES[name](), x


def test_two_processes_learn_what_one_learns_from_the_joint_batch(tmp_path: Path) -> None:
    multiprocessing.spawn(_rank, args=(str(tmp_path),), nprocs=2)
    for name in STAGES:
        stage, x = _stage_and_batch(name)
        for batch in x:
            stage.learn(batch, stage.search(batch), restart_below=0)
        for rank in range(2):
            learned = torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True)
            for key, tensor in stage.state_dict().items():
                torch.testing.assert_close(learned[key], tensor, rtol=1e-5, atol=1e-6)
        first, second = (
            torch.load(tmp_path / f"{name}_renewed{rank}.pt", weights_only=True) for rank in range(2)
        )
        for key, tensor in first.items():
            assert torch.equal(second[key], tensor), f"the ranks renewed {key} of {name} differently"
        assert not torch.equal(first["codebook"], stage.codebook)


def test_a_frozen_codebook_stays() -> None:
    stage = EuclideanStage(EuclideanConfig(learning="frozen"), 4, 2)
    before = stage.codebook.clone()
    x = torch.randn(50, 2)
    stage.learn(x, stage.search(x), restart_below=0.5)
    assert torch.equal(stage.codebook, before)
