"""Beam search: it finds sums of codes that are nearer than those of a greedy search."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, ResidualQuantizer, ScalarConfig
from codec.quantize.paths import Paths
from codec.runtime import search
from codec.runtime.compiled import paths as compiled_paths
from codec.runtime.search import Codebook


def nmse(quantizer: ResidualQuantizer, z: torch.Tensor) -> float:
    with torch.no_grad():
        left = z - quantizer.decode(quantizer.encode(z).codes)
        return float(left.square().sum() / z.square().sum())


def fitted(z: torch.Tensor, **changes: object) -> ResidualQuantizer:
    """Residual k-means (RQ-KMeans): fitted offline, and frozen."""
    torch.manual_seed(0)
    config = ResidualConfig(n_codebooks=4, codebook_size=32, lookup=EuclideanConfig(learning="frozen"))
    made = ResidualQuantizer(config, z.shape[1]).eval()
    made.start(z, torch.Generator().manual_seed(0))
    return made


def with_beam(made: ResidualQuantizer, beam: int) -> ResidualQuantizer:
    config = ResidualConfig(
        n_codebooks=4, codebook_size=32, lookup=EuclideanConfig(learning="frozen"), beam=beam
    )
    other = ResidualQuantizer(config, 8).eval()
    other.load_state_dict(made.state_dict())
    return other


def test_beam_8_lowers_the_error_of_residual_k_means() -> None:
    torch.manual_seed(0)
    mixing = torch.randn(8, 8)
    z, unseen = ((torch.randn(n, 8) @ mixing).T[None] for n in (4000, 2000))
    greedy = fitted(z)
    errors = {beam: nmse(with_beam(greedy, beam), unseen) for beam in (2, 8, 32)}
    plain = nmse(greedy, unseen)
    assert errors[2] < 0.95 * plain
    assert errors[8] < 0.85 * plain
    assert errors[32] <= errors[8]
    assert greedy.has_gaps
    assert with_beam(greedy, 8).has_gaps


def test_a_frozen_codebook_stays_as_k_means_left_it() -> None:
    z = torch.randn(1, 8, 600)
    made = fitted(z).train()
    before = [codebook.clone() for codebook in made.state_dict().values()]
    made(z.requires_grad_())
    names = [name for name in made.state_dict() if name.endswith("codebook")]
    assert len(names) == 4
    for (name, after), old in zip(made.state_dict().items(), before, strict=True):
        assert torch.equal(after, old) or name not in names


def test_a_beam_that_keeps_everything_finds_the_best_of_all_sums() -> None:
    torch.manual_seed(0)
    codebooks = [torch.randn(5, 3).double() for _ in range(3)]
    z = 2 * torch.randn(2, 3, 40).double()
    codes = Paths(codebooks, 125).encode(z).codes
    sums = torch.stack(
        [
            sum(book[i] for book, i in zip(codebooks, way, strict=True))  # type: ignore[misc]
            for way in product(range(5), repeat=3)
        ]
    )
    x = z.transpose(1, 2).reshape(-1, 3)
    best = torch.cdist(x, sums).argmin(1)
    expected = torch.stack([best // 25, best // 5 % 5, best % 5], 1).reshape(2, 40, 3).transpose(1, 2)
    assert torch.equal(codes, expected)


@pytest.mark.parametrize("lookup", [EuclideanConfig(), CosineConfig(dim=3), ScalarConfig(levels=(4, 4))])
def test_a_beam_helps_every_kind_of_codebook(
    lookup: EuclideanConfig | CosineConfig | ScalarConfig,
) -> None:
    z, errors = torch.randn(1, 6, 1500, generator=torch.Generator().manual_seed(0)), []
    for beam in (1, 8):
        torch.manual_seed(0)
        config = ResidualConfig(n_codebooks=3, codebook_size=16, lookup=lookup, beam=beam)
        made = ResidualQuantizer(config, 6).eval()
        made.start(z, torch.Generator().manual_seed(0))
        assert made.encode(z, 2).codes.shape == (1, 2, 1500)
        errors.append(nmse(made, z))
    assert errors[1] < errors[0]


def test_many_frames_are_searched_as_few_are() -> None:
    torch.manual_seed(0)
    codebooks = [torch.randn(512, 4).double() for _ in range(2)]
    z = torch.randn(1, 4, 3000).double()
    whole = Paths(codebooks, 16).encode(z).codes
    parts = torch.cat([Paths(codebooks, 16).encode(part).codes for part in z.split(377, dim=2)], 2)
    assert torch.equal(whole, parts)


@pytest.mark.parametrize("beam", [0, 257])
def test_a_beam_must_be_of_a_sensible_width(beam: int) -> None:
    with pytest.raises(ConfigError, match="beam"):
        ResidualConfig(beam=beam)


def test_with_prices_the_least_sum_of_error_and_price_is_found() -> None:
    torch.manual_seed(0)
    codebooks = [torch.randn(5, 3).double() for _ in range(3)]
    for book in codebooks:
        book[0] = 0
    z, prices = 2 * torch.randn(2, 3, 40).double(), torch.tensor([0.3, 2.0])
    found = Paths(codebooks, 125).encode(z, prices=prices).codes
    ways = torch.tensor(list(product(range(5), repeat=3)))
    sums = sum(book[ways[:, k]] for k, book in enumerate(codebooks))
    cost = torch.cdist(z.transpose(1, 2), sums[None]).square()  # type: ignore[index]
    cost = cost + prices[:, None, None] * (ways != 0).sum(1)
    assert torch.equal(found.transpose(1, 2), ways[cost.argmin(2)])
    skipped = (found == 0).double().mean((1, 2))
    assert 0 < skipped[0] < skipped[1] < 1


@torch.no_grad()
@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    beam=st.integers(1, 6),
    n=st.integers(1, 4),
    size=st.sampled_from([2, 5, 16]),
    price=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_no_move_within_the_gap_changes_any_code(
    seed: int, beam: int, n: int, size: int, price: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    codebooks = [torch.randn(size, 4, generator=generator).double() for _ in range(n)]
    if price > 0:
        for book in codebooks:
            book[0] = 0
    paths = Paths(codebooks, beam)
    z = 2 * torch.randn(1, 4, 50, generator=generator).double()
    prices = torch.tensor([price])
    found = paths.encode(z, prices=prices)
    assert (found.gap > 0).all()
    for _ in range(5):
        way = torch.randn(1, 4, 50, generator=generator).double()
        moved = z + 0.999 * found.gap.clamp(max=100)[:, None] * way / way.norm(dim=1, keepdim=True)
        assert torch.equal(paths.encode(moved, prices=prices).codes, found.codes)
    # And the gap is no bound that is always far too small: twenty times of it change some codes.
    if beam < size and n > 1 and price == 0:
        moved = z + 20 * found.gap[:, None] * way / way.norm(dim=1, keepdim=True)
        assert not torch.equal(paths.encode(moved).codes, found.codes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beam", [2, 5, 40])
@pytest.mark.parametrize("sizes", [(16, 16, 16), (32, 32, 8), (4,)])
@pytest.mark.parametrize("price", [0.0, 1.0])
def test_the_runtimes_search_finds_the_same(
    sizes: tuple[int, ...], beam: int, dtype: Any, price: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    codebooks = [torch.randn(size, 6, generator=generator).double() for size in sizes]
    if price > 0:
        for book in codebooks:
            book[0] = 0
    z = 2 * torch.randn(1, 6, 300, generator=generator).double()
    expected = Paths([book.to(getattr(torch, np.dtype(dtype).name)) for book in codebooks], beam).encode(
        z.to(getattr(torch, np.dtype(dtype).name)), prices=torch.tensor([price])
    )
    x = z[0].T.contiguous().numpy().astype(dtype)
    stages = [
        Codebook(book.numpy().astype(dtype), book.numpy().astype(dtype), price=price) for book in codebooks
    ]
    codes, unsure = search.encode(stages, x, np.full(300, 1e-5, dtype), beam)
    sure = ~unsure
    assert sure.mean() > 0.95
    assert np.array_equal(codes[sure], expected.codes[0].T.numpy()[sure])
    paid = price * (np.arange(max(sizes)) > 0)
    parts = [
        (
            book.numpy().astype(dtype)[None],
            -(np.square(book.numpy()).sum(1) + paid[: len(book)])[None] / 2,
        )
        for book in codebooks
    ]
    for row, latent in enumerate(x):
        own, gap = compiled_paths.search(latent, [(t, h.astype(dtype)) for t, h in parts], beam, price)
        assert gap == pytest.approx(float(expected.gap[0, row]), abs=1e-5)
        assert unsure[row] or np.array_equal(own, codes[row])
