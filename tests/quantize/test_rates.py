"""Smaller codebooks out of trained ones: the rate rises and the error falls with their size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from codec.errors import ConfigError
from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, build_quantizer
from codec.quantize.base import Quantizer
from codec.quantize.config import LookupConfig
from codec.quantize.rates import cluster, smaller_codebooks, usage_of, with_last
from codec.smaller import merged

SIZES = (4, 8, 16, 32)


def started(lookup: LookupConfig, z: torch.Tensor) -> Quantizer:
    torch.manual_seed(0)
    quantizer = build_quantizer(ResidualConfig(n_codebooks=3, codebook_size=64, lookup=lookup), 8).eval()
    quantizer.start(z, torch.Generator().manual_seed(0))
    return quantizer


def latents(seed: int = 0) -> torch.Tensor:
    """Latents `[4, 8, 1500]` of unequal variances around a few centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(20, 8, generator=torch.Generator().manual_seed(9))
    picks = torch.randint(20, (4, 1500), generator=generator)
    scale = torch.linspace(1.5, 0.2, 8)
    return (centres[picks] + scale * torch.randn(4, 1500, 8, generator=generator)).transpose(1, 2)


def error_of(quantizer: Quantizer, z: torch.Tensor, codebooks: int) -> float:
    decoded = quantizer.decode(quantizer.encode(z, codebooks).codes)
    return float((z - decoded).square().mean())


@torch.no_grad()
def ladder_errors(lookup: LookupConfig) -> list[list[float]]:
    """For each codebook as the last one the errors by rising size, the whole codebook's at the end."""
    z = latents()
    quantizer = started(lookup, z)
    usage = usage_of(quantizer, z)
    made = smaller_codebooks(quantizer, usage, SIZES)
    found = []
    for codebooks in (1, 2, 3):
        errors = []
        for size in SIZES:
            small = with_last(quantizer, codebooks, usage[codebooks - 1], made[codebooks - 1][size])
            assert small.codebook_sizes == (64,) * (codebooks - 1) + (size,)
            errors.append(error_of(small, latents(1), codebooks))
        found.append([*errors, error_of(quantizer, latents(1), codebooks)])
    return found


def falls(errors: list[float]) -> bool:
    return all(later < earlier for earlier, later in pairwise(errors))


def test_the_error_falls_with_every_step_of_the_ladder() -> None:
    assert falls([error for errors in ladder_errors(EuclideanConfig()) for error in errors])


def test_the_error_falls_with_the_size_where_the_whole_codebook_is_searched_by_angle() -> None:
    """The smaller one is searched by distance, and so may be better than a codebook that is not."""
    assert all(falls(errors[:-1]) for errors in ladder_errors(CosineConfig(dim=6)))


@torch.no_grad()
def test_codes_before_the_last_are_those_of_the_whole_quantizer() -> None:
    z = latents()
    quantizer = started(EuclideanConfig(), z)
    usage = usage_of(quantizer, z)
    small = with_last(quantizer, 3, usage[2], cluster(torch.randn(64, 8), usage[2], 16))
    codes, whole = small.encode(z).codes, quantizer.encode(z).codes
    assert torch.equal(codes[:, :2], whole[:, :2])
    assert int(codes[:, 2].max()) < 16
    assert torch.equal(small.decode(codes[:, :2]), quantizer.decode(whole[:, :2]))


@torch.no_grad()
def test_gaps_of_the_smaller_codebook_hold() -> None:
    z = latents()
    quantizer = started(EuclideanConfig(), z)
    usage = usage_of(quantizer, z)
    small = with_last(quantizer, 2, usage[1], smaller_codebooks(quantizer, usage, (8,))[1][8])
    assert small.has_gaps
    found = small.encode(z)
    step = torch.nn.functional.normalize(torch.randn_like(z), dim=1) * 0.99 * found.gap[:, None]
    assert torch.equal(small.encode(z + step).codes, found.codes)
    assert float(found.gap.median()) > 0


def test_an_entry_of_the_smaller_codebook_is_the_mean_of_its_members_by_usage() -> None:
    codebook = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0], [1.0, 9.0]])
    usage = np.array([3.0, 1.0, 5.0, 5.0])
    small = merged(codebook, usage, np.array([0, 0, 1, 1], np.uint16))
    assert np.array_equal(small, [[1.0, 0.0], [0.5, 9.0]])


def test_clusters_follow_what_is_used() -> None:
    """Two of five entries are never used: the three that are keep a cluster each."""
    codebook = torch.tensor([[0.0], [1.0], [2.0], [50.0], [90.0]])
    usage = torch.tensor([1e6, 1e6, 1e6, 0.0, 0.0])
    assignment = cluster(codebook, usage, 3)
    assert len(set(assignment[:3].tolist())) == 3


def test_clustering_is_the_same_every_time() -> None:
    codebook, usage = torch.randn(200, 8, generator=torch.Generator().manual_seed(1)), torch.arange(200)
    first, again = (cluster(codebook, usage, 40) for _ in range(2))
    assert np.array_equal(first, again)
    assert sorted(set(first.tolist())) == list(range(40))


def test_entries_that_are_equal_make_fewer_clusters_and_are_left_out() -> None:
    z = latents()
    quantizer = started(EuclideanConfig(), z)
    quantizer.state_dict()["stages.0.codebook"][:] = torch.randn(8, 8)[torch.arange(64) % 8]
    found = smaller_codebooks(quantizer, usage_of(quantizer, z), (4, 16))
    assert [sorted(item) for item in found] == [[4], [4, 16], [4, 16]]


@pytest.mark.parametrize("size", [1, 65])
def test_a_size_that_makes_no_sense_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="64 entries cannot become"):
        cluster(torch.randn(64, 2), torch.ones(64), size)
