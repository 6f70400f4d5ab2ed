"""Beam search: it finds sums of codes that are nearer than those of a greedy search."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from codec.errors import ConfigError
from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, ResidualQuantizer, ScalarConfig
from codec.quantize.beam import search_codebooks


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
    assert not with_beam(greedy, 8).has_gaps


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
    codes = search_codebooks(z, codebooks, 125).codes
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
    whole = search_codebooks(z, codebooks, 16).codes
    parts = torch.cat([search_codebooks(part, codebooks, 16).codes for part in z.split(377, dim=2)], 2)
    assert torch.equal(whole, parts)


@pytest.mark.parametrize("beam", [0, 257])
def test_a_beam_must_be_of_a_sensible_width(beam: int) -> None:
    with pytest.raises(ConfigError, match="beam"):
        ResidualConfig(beam=beam)
