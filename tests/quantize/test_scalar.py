"""Finite scalar quantization: every index is one point of the grid, and residual stages all do their part."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.quantize import ResidualConfig, ResidualQuantizer, ScalarConfig
from codec.quantize.scalar import ScalarStage
from codec.quantize.usage import perplexity

LEVELS = [(8, 5, 5, 5), (2,), (2, 2, 2), (3, 4), (7, 5, 5, 5, 5), (16, 16), (8, 8, 8, 5), (9, 1030)]


def identity(levels: tuple[int, ...], *, symmetric: bool = False) -> ScalarStage:
    """A stage that looks at the vectors themselves."""
    stage = ScalarStage(ScalarConfig(levels=levels, symmetric=symmetric), len(levels))
    with torch.no_grad():
        stage.project.weight.copy_(torch.eye(len(levels)))
        stage.unproject.weight.copy_(torch.eye(len(levels)))
    return stage.double()


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("levels", LEVELS)
def test_every_index_is_one_point_of_the_grid_and_back(levels: tuple[int, ...], symmetric: bool) -> None:
    stage = identity(levels, symmetric=symmetric)
    values = [2 * (level // 2) + 1 if symmetric else level for level in levels]
    assert stage.size == math.prod(values)
    codes = torch.arange(stage.size)
    digits = stage.digits(codes)
    assert torch.equal(stage.index(digits), codes)
    assert len(digits.unique(dim=0)) == stage.size
    assert (digits >= 0).all()
    assert (digits < torch.tensor(values)).all()
    # The grid itself, scaled to about -1 to 1.
    grid = stage.vectors(codes)
    if stage.size < 3000:
        expected = {
            tuple((d - v // 2) / (v // 2) for d, v in zip(p, values, strict=True))
            for p in product(*(range(v) for v in values))
        }
        assert {tuple(row) for row in grid.tolist()} == expected


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("levels", LEVELS[:-1])
def test_every_index_is_the_code_of_some_vector(levels: tuple[int, ...], symmetric: bool) -> None:
    stage = identity(levels, symmetric=symmetric)
    # Half way between neighbouring borders, and beyond the outermost.
    centres = []
    for j in range(len(levels)):
        borders = stage._borders(j)
        inner = (borders[1:] + borders[:-1]) / 2
        centres.append(torch.cat([borders[:1] - 1, inner, borders[-1:] + 1]))
    digits = stage.digits(torch.arange(stage.size))
    x = torch.stack([centre[digits[:, j]] for j, centre in enumerate(centres)], 1)
    assert torch.equal(stage.search(x), torch.arange(stage.size))


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2, 3, 4), (16, 7)])
def test_codes_are_the_rounding_of_the_formula(levels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    stage, y = identity(levels), 2 * torch.randn(4000, len(levels)).double()
    level = torch.tensor(levels).double()
    half = (level - 1) * (1 - 1e-3) / 2
    offset = torch.where(level % 2 == 0, 0.5, 0.0).double()
    rounded = (half * torch.tanh(y + torch.tan(offset / half)) - offset).round()
    digits = (rounded + torch.div(level, 2, rounding_mode="floor")).long()
    same = stage.digits(stage.search(y)) == digits
    assert same.double().mean() > 0.9999  # all but those on a border, by rounding errors
    symmetric = identity(levels, symmetric=True)
    halves = torch.div(level, 2, rounding_mode="floor")
    digits = ((halves * torch.tanh(y)).round() + halves).long()
    assert (symmetric.digits(symmetric.search(y)) == digits).double().mean() > 0.9999


@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), levels=st.sampled_from(LEVELS[:7]), symmetric=st.booleans())
@torch.no_grad()
def test_no_move_within_the_gap_changes_a_code(seed: int, levels: tuple[int, ...], symmetric: bool) -> None:
    torch.manual_seed(seed)
    stage = ScalarStage(ScalarConfig(levels=levels, symmetric=symmetric), 6).double()
    torch.nn.init.normal_(stage.project.weight)
    x = torch.randn(200, 6).double()
    codes, gap = stage.match(x)
    assert torch.equal(codes, stage.search(x))
    step = torch.nn.functional.normalize(torch.randn_like(x), dim=1) * gap[:, None] * (1 - 1e-9)
    assert torch.equal(stage.search(x + step), codes)
    # Nor is the gap smaller than it must be: some straight way to a border is no longer.
    rows = torch.nn.functional.normalize(stage.project.weight, dim=1)
    ways = [stage.search(x + s * gap[:, None] * row) != codes for row in rows for s in (1 + 1e-6, -1 - 1e-6)]
    assert torch.stack(ways).any(0).all()


def test_the_gradient_passes_the_rounding_and_the_bound_alone() -> None:
    torch.manual_seed(0)
    stage = identity((5, 5))
    x = torch.randn(50, 2).double().requires_grad_()
    out = stage.train_step(x, x, 0.0)
    torch.testing.assert_close(out.vectors, stage.vectors(out.codes))
    out.vectors.sum().backward()
    half = 2 * (1 - 1e-3)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, half / 2 * (1 - torch.tanh(x.detach()).square()))
    assert not out.loss.any()


def latents(n: int) -> torch.Tensor:
    torch.manual_seed(1)
    return (torch.randn(n, 12) * torch.logspace(0, -1, 12) @ torch.randn(12, 12)).T[None]


@torch.no_grad()
def test_with_every_stage_the_error_falls_and_no_stage_is_starved() -> None:
    z = latents(4000)
    made = ResidualQuantizer(ResidualConfig(n_codebooks=6, lookup=ScalarConfig(levels=(5, 4, 4))), 12).eval()
    made.start(z, torch.Generator().manual_seed(0))
    codes = made.encode(z).codes
    errors = [float((z - made.decode(codes[:, :n])).square().mean()) for n in range(1, 7)]
    assert errors[0] < 0.8 * float(z.square().mean())
    # Each of equal bits takes a good share of what is left; without a scale per stage, later ones take none.
    assert all(later < 0.85 * earlier for earlier, later in pairwise(errors))
    for codebook in codes[0]:
        assert float(perplexity(torch.bincount(codebook, minlength=80).float())) > 20


def test_levels_that_make_no_codebook_are_refused() -> None:
    for levels in [(), (1, 5), (300, 300)]:
        with pytest.raises(ConfigError, match="levels"):
            ScalarConfig(levels=levels)
    with pytest.raises(ConfigError, match="levels"):
        ScalarConfig(levels=(256, 256), symmetric=True)
