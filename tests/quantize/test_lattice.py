"""Lattices: nearest points equal brute force, sets of points have indices, and the learned basis learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.quantize import LatticeConfig, ResidualConfig, ResidualQuantizer
from codec.quantize.fit import fit
from codec.quantize.lattice import LatticeStage, measured_bits
from codec.quantize.lattice_points import Lattice, first_points, minimal_vectors, nearest_d, nearest_e8

DIMENSIONS: dict[Lattice, int] = {"d4": 4, "e8": 8, "learned": 3}


def around(lattice: Lattice, squared: int) -> torch.Tensor:
    """All points of a lattice up to a squared length, by their definition."""
    dim = DIMENSIONS[lattice]
    most = math.isqrt(squared)
    steps = [torch.arange(-most, most + 1).double()]
    if lattice == "e8":
        steps.append(torch.arange(-most, most).double() + 0.5)
    found = []
    for values in steps:
        grid = torch.cartesian_prod(*[values] * dim)
        even = grid.sum(1).remainder(2) == 0 if lattice != "learned" else torch.ones(len(grid)).bool()
        found.append(grid[even & (grid.square().sum(1) <= squared)])
    return torch.cat(found)


@pytest.mark.parametrize("lattice", ["d4", "e8"])
def test_the_nearest_point_equals_brute_force(lattice: Lattice) -> None:
    torch.manual_seed(0)
    dim, nearest = DIMENSIONS[lattice], {"d4": nearest_d, "e8": nearest_e8}[lattice]
    # No vector is further than the covering radius, 1, from a point: those around the origin are enough.
    points = around(lattice, {"d4": 9, "e8": 4}[lattice])
    x = torch.nn.functional.normalize(torch.randn(3000, dim).double(), dim=1) * torch.rand(3000, 1).double()
    x = x * {"d4": 2, "e8": 1}[lattice]
    distances = torch.cdist(x, points)
    best = distances.min(1)
    torch.testing.assert_close((x - nearest(x)).norm(dim=1), best.values)
    assert torch.equal(nearest(x), points[best.indices])
    # And everywhere else, for it moves with the lattice.
    shift = points[torch.randint(len(points), (3000,))] * 3
    torch.testing.assert_close(nearest(x + shift), nearest(x) + shift)


def test_shells_have_the_known_numbers_of_points() -> None:
    known: dict[Lattice, list[int]] = {"d4": [1, 24, 24, 96], "e8": [1, 240, 2160]}
    # Theta series: D4 1, 24, 24, 96; E8 1, 240, 2160 (Conway and Sloane 1998, chapter 4).
    for lattice, shells in known.items():
        points = first_points(lattice, DIMENSIONS[lattice], sum(shells)) / 2
        lengths, numbers = np.unique((points**2).sum(1), return_counts=True)
        assert lengths.tolist() == [2 * i for i in range(len(shells))]
        assert numbers.tolist() == shells
    assert len(minimal_vectors("d4", 4)) == 24
    assert len(minimal_vectors("e8", 8)) == 240


@pytest.mark.parametrize(
    ("lattice", "dim", "size"),
    [
        ("d4", 4, 1024),
        ("e8", 8, 1000),
        ("e8", 8, 16384),
        ("learned", 1, 1024),
        ("learned", 2, 2),
        ("learned", 6, 777),
        ("learned", 24, 4096),
    ],
)
def test_a_codebook_has_different_points_in_an_order_that_never_changes(
    lattice: Lattice, dim: int, size: int
) -> None:
    points = first_points(lattice, dim, size)
    assert points.shape == (size, dim)
    assert len(np.unique(points, axis=0)) == size
    lengths = (points**2).sum(1)
    assert (np.diff(lengths) >= 0).all()
    assert np.array_equal(first_points(lattice, dim, size // 2 + 1), points[: size // 2 + 1])
    # A shell that does not fit is cut off at no particular side.
    assert np.abs(points.mean(0)).max() < 0.2 * max(1.0, np.abs(points).max()) or size < 10


def test_the_order_of_points_is_part_of_a_models_meaning() -> None:
    assert (first_points("d4", 4, 6) / 2).tolist() == GOLDEN_D4


GOLDEN_D4 = [[0, 0, 0, 0], [0, 1, 1, 0], [0, -1, -1, 0], [0, 0, 1, -1], [0, 0, -1, -1], [0, 1, -1, 0]]


def stage(lattice: Lattice, size: int, *, dim: int | None = None) -> LatticeStage:
    torch.manual_seed(0)
    inner = dim or DIMENSIONS[lattice]
    made = LatticeStage(LatticeConfig(lattice=lattice, dim=inner), size, inner)
    with torch.no_grad():
        made.project.weight.copy_(torch.eye(inner))
        made.unproject.weight.copy_(torch.eye(inner))
        if made.basis is not None:
            made.basis.add_(0.1 * torch.randn(inner, inner))
    return made.double()


@pytest.mark.parametrize("lattice", ["d4", "e8", "learned"])
def test_every_index_is_the_code_of_its_own_point(lattice: Lattice) -> None:
    made = stage(lattice, 500)
    assert torch.equal(made.search(made.all_vectors()), torch.arange(500))


@torch.no_grad()
@pytest.mark.parametrize("lattice", ["d4", "e8"])
def test_inside_and_outside_the_code_is_the_nearest_point_of_the_bounded_set(lattice: Lattice) -> None:
    made = stage(lattice, 300)
    x = {"d4": 1.5, "e8": 0.7}[lattice] * torch.randn(4000, DIMENSIONS[lattice]).double()
    inside = made._find(x)[1].double().mean()
    assert 0.05 < inside < 0.95
    assert torch.equal(made.search(x), torch.cdist(x, made.all_vectors()).argmin(1))


@torch.no_grad()
def test_the_learned_lattice_rounds_in_its_basis_inside_and_searches_outside() -> None:
    made = stage("learned", 60)
    assert made.basis is not None
    x = 1.5 * torch.randn(4000, 3).double()
    codes, inside, _ = made._find(x)
    babai = torch.round(x @ torch.linalg.inv(made.basis).T) @ made.basis.T
    assert 0.05 < inside.double().mean() < 0.95
    torch.testing.assert_close(made.vectors(codes)[inside], babai[inside])
    assert torch.equal(codes[~inside], torch.cdist(x[~inside], made.all_vectors()).argmin(1))


@torch.no_grad()
@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**31),
    lattice=st.sampled_from(["d4", "e8", "learned"]),
    scale=st.sampled_from([0.3, 1.0, 3.0, 1e8]),
)
def test_no_move_within_the_gap_changes_a_code(seed: int, lattice: Lattice, scale: float) -> None:
    made = stage(lattice, 100)
    torch.manual_seed(seed)
    torch.nn.init.normal_(made.project.weight)
    x = scale * torch.randn(300, DIMENSIONS[lattice]).double()
    codes, gap = made.match(x)
    assert torch.equal(codes, made.search(x))
    assert (gap > 0).double().mean() > 0.9
    step = torch.nn.functional.normalize(torch.randn_like(x), dim=1) * gap[:, None] * (1 - 1e-6)
    assert torch.equal(made.search(x + step), codes)


@torch.no_grad()
@pytest.mark.parametrize("lattice", ["d4", "e8", "learned"])
def test_the_noise_of_training_is_that_of_rounding(lattice: Lattice) -> None:
    made = stage(lattice, 2000).train()
    x = 0.3 * torch.randn(20_000, DIMENSIONS[lattice]).double()
    noise = made.train_step(x, x, 0.0).vectors - x
    # Rounding errors of vectors that are spread evenly over many cells.
    even = 100 * torch.rand(20_000, DIMENSIONS[lattice]).double()
    units = even if made.basis is None else torch.linalg.solve(made.basis, even.T).T
    errors = made._turn(units - made._round(units))
    torch.testing.assert_close(noise.T @ noise / 2e4, errors.T @ errors / 2e4, rtol=0.05, atol=0.005)
    assert noise.mean(0).abs().max() < 0.02
    made.eval()
    out = made.train_step(x, x, 0.0)
    torch.testing.assert_close(out.vectors, made.vectors(out.codes))


def skewed(n: int) -> torch.Tensor:
    """Latents on a few oblique directions."""
    torch.manual_seed(3)
    return (torch.randn(n, 4) @ torch.randn(4, 8) + 0.1 * torch.randn(n, 8)).T[None]


def test_the_learned_basis_learns_and_stays_near_orthogonal() -> None:
    config = ResidualConfig(n_codebooks=2, codebook_size=256, dropout=0.0, lookup=LatticeConfig(dim=3))
    z, torch_z = skewed(4000), skewed(4000)
    torch.manual_seed(0)
    made = ResidualQuantizer(config, 8).eval()
    made.start(z, torch.Generator().manual_seed(0))
    first = made.stages[0]
    assert isinstance(first, LatticeStage)
    assert first.basis is not None
    with torch.no_grad():
        first.basis.add_(0.4 * torch.randn(3, 3))
        before = float((torch_z - made.decode(made.encode(torch_z).codes)).square().mean())
    oblique = float(first.obliqueness().detach())
    fit(made, z, steps=150, batch_frames=256, rate=3e-3)
    with torch.no_grad():
        after = float((torch_z - made.decode(made.encode(torch_z).codes)).square().mean())
    assert after < 0.9 * before
    assert float(first.obliqueness().detach()) < 0.7 * oblique


def test_the_measured_rate_is_below_the_nominal_one() -> None:
    made = stage("d4", 1024)
    with torch.no_grad():
        codes = made.search(0.8 * torch.randn(20_000, 4).double())
    bits = float(measured_bits(torch.bincount(codes, minlength=1024)))
    assert 3 < bits < 9 < math.log2(1024)
    assert float(measured_bits(torch.ones(1024))) == pytest.approx(10)


def test_a_lattice_has_a_sensible_number_of_dimensions() -> None:
    for dim in (0, 25):
        with pytest.raises(ConfigError, match="dimensions"):
            LatticeConfig(dim=dim)
