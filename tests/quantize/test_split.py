"""The split quantizer: two projections of one latent, every prefix of whose codes decodes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from codec.errors import ConfigError
from codec.quantize import ResidualConfig, SplitConfig
from codec.quantize.split import SplitQuantizer


def latents(n: int) -> torch.Tensor:
    torch.manual_seed(1)
    return (torch.randn(n, 8) * torch.tensor([8.0, 6, 4, 2, 1, 0.5, 0.2, 0.1])).T[None]


def made(semantic: int = 1, acoustic: int = 4, dropout: float = 0.0) -> SplitQuantizer:
    torch.manual_seed(0)
    each = [ResidualConfig(n_codebooks=n, codebook_size=16, dropout=dropout) for n in (semantic, acoustic)]
    quantizer = SplitQuantizer(SplitConfig(dim=6, semantic=each[0], acoustic=each[1]), 8).eval()
    quantizer.start(latents(2000), torch.Generator().manual_seed(0))
    return quantizer


@torch.no_grad()
def error(quantizer: SplitQuantizer, z: torch.Tensor, codebooks: int) -> float:
    return float((z - quantizer.decode(quantizer.encode(z, codebooks).codes)).square().mean())


def test_the_semantic_codes_come_first_and_any_prefix_is_what_fewer_codebooks_give() -> None:
    quantizer, z = made(semantic=2), latents(50)
    assert quantizer.codebook_sizes == (16,) * 6
    codes = quantizer.encode(z).codes
    assert torch.equal(codes[:, :2], quantizer.semantic.encode(z, 2).codes)
    for n in range(1, 7):
        assert torch.equal(quantizer.encode(z, n).codes, codes[:, :n])
        assert quantizer.decode(codes[:, :n]).shape == z.shape


def test_the_acoustic_codes_quantize_the_latent_itself() -> None:
    quantizer, z = made(), latents(50)
    with torch.no_grad():
        quantizer.semantic.unproject.weight.zero_()
        assert torch.equal(quantizer.encode(z).codes[:, 1:], quantizer.acoustic.encode(z, 4).codes)


def test_a_fresh_start_gets_nearer_with_every_codebook() -> None:
    quantizer, z = made(), latents(2000)
    errors = [error(quantizer, z, n) for n in range(1, 6)]
    assert errors[0] < 0.7 * float(z.square().mean())
    assert all(after < before for before, after in pairwise(errors))


def test_gaps_are_lower_bounds_of_the_move_that_changes_a_code() -> None:
    quantizer, z = made(), latents(200)
    codes, gap = quantizer.encode(z)
    torch.manual_seed(2)
    for _ in range(20):
        step = torch.randn_like(z)
        step = step / step.norm(dim=1, keepdim=True) * gap[:, None] * 0.99
        assert torch.equal(quantizer.encode(z + step).codes, codes)


def test_training_reaches_every_weight_and_dropout_keeps_a_prefix() -> None:
    quantizer = made(dropout=1.0).train()
    z = latents(64).repeat(8, 1, 1).requires_grad_()
    out = quantizer(z)
    (out.latents.square().mean() + out.loss).backward()
    assert z.grad is not None
    assert out.codes.shape == (8, 5, 64)
    assert out.counts.shape == (5, 16)
    # Every item has the semantic code, and fewer and fewer the later ones.
    used = out.counts.sum(1).tolist()
    assert used[0] == 8 * 64
    assert used == sorted(used, reverse=True)
    assert used[-1] < used[0]
    for name, parameter in quantizer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="positive"):
        SplitConfig(dim=0)
    with pytest.raises(ConfigError, match="between 1 and 64"):
        SplitConfig(acoustic=ResidualConfig(n_codebooks=64))
    with pytest.raises(ConfigError, match="decodes 1 to 5"):
        made().decode(torch.zeros(1, 6, 3, dtype=torch.long))
