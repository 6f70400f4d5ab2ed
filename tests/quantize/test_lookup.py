"""The nearest code is found, and the gap is a distance that really leaves the code as it is."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from codec.quantize import CosineConfig, EuclideanConfig
from codec.quantize.cosine import CosineStage
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.lookup import first_equals, match, nearest

deterministic = settings(derandomize=True, deadline=None, max_examples=30)
seeds = st.integers(0, 2**31)


def euclidean(size: int, dim: int) -> EuclideanStage:
    return EuclideanStage(EuclideanConfig(), size, dim).double()


def cosine(size: int, dim: int, inner: int) -> CosineStage:
    stage = CosineStage(CosineConfig(dim=inner), size, dim).double()
    torch.nn.init.normal_(stage.project.weight)
    torch.nn.init.normal_(stage.project.bias)
    return stage


@deterministic
@given(seed=seeds, size=st.integers(2, 40), dim=st.integers(1, 12))
def test_nearest_is_the_smallest_distance(seed: int, size: int, dim: int) -> None:
    torch.manual_seed(seed)
    x, codebook = torch.randn(50, dim).double(), torch.randn(size, dim).double()
    assert torch.equal(nearest(x, codebook), torch.cdist(x, codebook).argmin(1))
    assert torch.equal(match(x, codebook).codes, nearest(x, codebook))


@deterministic
@given(seed=seeds, size=st.integers(2, 40), dim=st.integers(1, 12), inner=st.integers(1, 8))
def test_the_cosine_lookup_takes_the_most_similar_direction(
    seed: int, size: int, dim: int, inner: int
) -> None:
    torch.manual_seed(seed)
    stage, x = cosine(size, dim, inner), torch.randn(50, dim).double()
    similarity = F.cosine_similarity(stage.project(x)[:, None], stage.codebook[None], dim=2)
    best = similarity.max(1).values
    for codes in (stage.search(x), stage.match(x).codes):
        # In one dimension there are only two directions, so many codes may be the most similar one.
        assert torch.allclose(similarity.gather(1, codes[:, None])[:, 0], best, rtol=0, atol=1e-12)


@deterministic
@given(
    seed=seeds,
    size=st.integers(2, 40),
    dim=st.integers(2, 12),
    lookup=st.sampled_from(["euclidean", "cosine"]),
)
def test_a_move_shorter_than_the_gap_keeps_the_code(seed: int, size: int, dim: int, lookup: str) -> None:
    torch.manual_seed(seed)
    stage = euclidean(size, dim) if lookup == "euclidean" else cosine(size, dim, min(dim, 4))
    x = torch.randn(30, dim).double().requires_grad_()
    codes, gap = stage.match(x)
    # The worst direction is that in which the gap itself falls fastest.
    (worst,) = torch.autograd.grad(gap.sum(), x)
    for direction in (-worst, *torch.randn(8, 30, dim).double().unbind()):
        step = F.normalize(direction, dim=1) * (gap * (1 - 1e-6))[:, None]
        assert torch.equal(stage.search(x + step), codes)


def test_the_gap_between_two_codes_is_the_distance_to_the_plane_between_them() -> None:
    codebook = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    matched = match(torch.tensor([[0.25, 7.0], [1.5, -3.0]]), codebook)
    assert matched.codes.tolist() == [0, 1]
    torch.testing.assert_close(matched.gap, torch.tensor([0.75, 0.5]))


def test_equal_codes_are_one_code() -> None:
    codebook = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    assert first_equals(codebook).tolist() == [0, 1, 0, 1, 1]
    codes, gap = match(torch.tensor([[-1.0, 0.0]]), codebook)
    assert int(codes) in (0, 2)
    assert 0 < float(gap) <= 2.0  # a bound of the distance to the plane between the two different codes
