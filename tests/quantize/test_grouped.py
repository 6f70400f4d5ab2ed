"""Grouped quantization: a rotation that balances the groups, and codes of which every prefix decodes."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.quantize import CosineConfig, GroupedConfig, ResidualConfig
from codec.quantize.grouped import GroupedQuantizer
from codec.quantize.rotation import balanced_rotation, eigenvalue_allocation
from codec.tokens import rates


def latents(n: int) -> torch.Tensor:
    """Latents whose first dimensions hold nearly everything, as those of a transform do."""
    torch.manual_seed(1)
    return (torch.randn(n, 8) * torch.tensor([8.0, 6, 4, 2, 1, 0.5, 0.2, 0.1])).T[None]


def made(*, rotate: bool = True, groups: int = 4, stages: int = 2, **changes: object) -> GroupedQuantizer:
    torch.manual_seed(0)
    each = ResidualConfig(n_codebooks=stages, codebook_size=16, dropout=0.0, **changes)  # type: ignore[arg-type]
    quantizer = GroupedQuantizer(GroupedConfig(groups=groups, rotate=rotate, each=each), 8).eval()
    quantizer.start(latents(2000), torch.Generator().manual_seed(0))
    return quantizer


@torch.no_grad()
def error(quantizer: GroupedQuantizer, z: torch.Tensor) -> float:
    return float((z - quantizer.decode(quantizer.encode(z).codes)).square().mean())


def test_bits_are_groups_times_stages_times_log2_of_the_codebook() -> None:
    config = GroupedConfig(groups=4, each=ResidualConfig(n_codebooks=3, codebook_size=512))
    assert config.codebook_sizes == (512,) * 12
    assert sum(math.log2(size) for size in config.codebook_sizes) == 4 * 3 * 9
    assert rates(Fraction(50), config.codebook_sizes)[-1] == pytest.approx(4 * 3 * 9 * 50 / 1000)
    quantizer = made()
    assert quantizer.encode(latents(10)).codes.shape == (1, 8, 10)
    assert quantizer.codebook_sizes == (16,) * 8


def test_the_rotation_is_orthogonal_and_lowers_the_error() -> None:
    turned, plain = made(), made(rotate=False)
    torch.testing.assert_close(turned.rotation @ turned.rotation.T, torch.eye(8), atol=1e-5, rtol=0)
    assert torch.equal(plain.rotation, torch.eye(8))
    assert error(turned, latents(2000)) < 0.6 * error(plain, latents(2000))


def test_alternating_lowers_the_error_of_the_allocated_start() -> None:
    torch.manual_seed(0)
    # Not Gaussian, so that the allocation of eigenvalues is not the best already.
    corners = torch.randint(2, (3000, 8)).float() * 2 - 1
    turn = torch.linalg.qr(torch.randn(8, 8)).Q
    x = (corners + 0.1 * torch.randn(3000, 8)) @ turn.T
    errors = []
    for steps in (1, 40):
        rotation = balanced_rotation(x, 4, 4, torch.Generator().manual_seed(0), steps)
        quantizer = made(stages=1)
        quantizer.config = GroupedConfig(groups=4, rotate=False, each=quantizer.config.each)
        quantizer.rotation.copy_(rotation)
        quantizer.start(x.T[None], torch.Generator().manual_seed(0))
        errors.append(error(quantizer, x.T[None]))
    assert errors[1] < 0.95 * errors[0]


def test_eigenvalues_are_dealt_out_to_groups_of_similar_product() -> None:
    variances = torch.tensor([64.0, 32, 16, 8, 4, 2, 1, 0.5])
    x = torch.linalg.qr(torch.randn(4000, 8)).Q * 4000**0.5
    x = (x - x.mean(0)) * variances.sqrt()
    rotation = eigenvalue_allocation(x, 4)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(8), atol=1e-4, rtol=0)
    products = (x @ rotation.T).var(0).reshape(4, 2).prod(1)
    assert float(products.max() / products.min()) < 1.5


@torch.no_grad()
@pytest.mark.parametrize("beam", [1, 4])
def test_codes_of_a_stage_of_all_groups_come_before_the_next_and_every_prefix_decodes(beam: int) -> None:
    quantizer, z = made(beam=beam), latents(300)
    codes = quantizer.encode(z).codes
    turned = (quantizer.rotation @ z).chunk(4, dim=1)
    errors = []
    for n in range(1, 9):
        parts = []
        for i, (part, x) in enumerate(zip(quantizer._parts(), turned, strict=True)):
            own = codes[:, i:n:4]
            if beam == 1:
                assert torch.equal(part.encode(x).codes[:, : own.shape[1]], own)
                assert torch.equal(quantizer.encode(z, n).codes, codes[:, :n])
            parts.append(part.decode(own) if own.shape[1] else torch.zeros_like(x))
        decoded = quantizer.decode(codes[:, :n])
        torch.testing.assert_close(decoded, quantizer.rotation.T @ torch.cat(parts, 1))
        errors.append(float((z - decoded).square().mean()))
    assert all(later < earlier for earlier, later in pairwise(errors))
    assert quantizer.has_gaps


@torch.no_grad()
@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 8))
def test_no_move_within_the_gap_changes_any_code(seed: int, n: int) -> None:
    quantizer = started()
    torch.manual_seed(seed)
    z = 4 * torch.randn(1, 8, 40).double()
    codes, gap = quantizer.encode(z, n)
    step = torch.nn.functional.normalize(torch.randn_like(z), dim=1) * gap[:, None] * (1 - 1e-6)
    assert torch.equal(quantizer.encode(z + step, n).codes, codes)


@cache
def started() -> GroupedQuantizer:
    return made().double()


@pytest.mark.parametrize("lookup", [None, CosineConfig(dim=2)])
def test_training_and_encoding_choose_the_same_codes(lookup: CosineConfig | None) -> None:
    quantizer = (made(lookup=lookup) if lookup else made()).double()
    z = latents(100).double().requires_grad_()
    out = quantizer(z)
    assert torch.equal(out.codes, quantizer.encode(z).codes)
    torch.testing.assert_close(out.latents, quantizer.decode(out.codes))
    assert out.counts.shape == (8, 16)
    assert torch.equal(out.counts[5], torch.bincount(out.codes[0, 5], minlength=16))
    if lookup is None:
        out.latents.sum().backward()
        torch.testing.assert_close(z.grad, torch.ones_like(z))  # all of the gradient, turned there and back


def test_dropout_keeps_a_prefix_of_all_groups_codes() -> None:
    quantizer = made().train()
    quantizer._draw = lambda batch, device: torch.arange(1, 9)  # type: ignore[method-assign]
    z = latents(80).reshape(8, 8, 10).transpose(0, 1).contiguous()
    codebooks = {name: x.clone() for name, x in quantizer.state_dict().items()}
    out = quantizer(z)
    quantizer.load_state_dict(codebooks)
    for n in range(1, 9):
        expected = quantizer.decode(out.codes[n - 1 : n, :n])
        torch.testing.assert_close(out.latents[n - 1 : n], expected, atol=1e-4, rtol=1e-4)
    assert out.counts.sum(1).tolist() == [10 * (8 - k) for k in range(8)]


def test_groups_must_divide_the_latents() -> None:
    with pytest.raises(ConfigError, match="3 equal groups"):
        GroupedQuantizer(GroupedConfig(groups=3), 8)
    with pytest.raises(ConfigError, match="1 to 8"):
        made().decode(torch.zeros(1, 9, 2, dtype=torch.long))
