"""Sums of the k most similar codes: which they are survives the way through codes, whole."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.quantize import TopKConfig
from codec.quantize.fit import fit
from codec.quantize.top_k import TopKQuantizer

SIMILARITIES = ["cosine", "euclidean"]


def latents(n: int, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(1, 6, n).double()


def made(similarity: str = "cosine", size: int = 64, k: int = 4, **changes: float) -> TopKQuantizer:
    torch.manual_seed(0)
    config = TopKConfig(codebook_size=size, k=k, similarity=similarity, **changes)  # type: ignore[arg-type]
    quantizer = TopKQuantizer(config, 6).double().eval()
    quantizer.start(latents(2000), torch.Generator().manual_seed(0))
    return quantizer


@torch.no_grad()
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize(("size", "k"), [(64, 4), (1024, 8), (3, 2), (40, 1)])
def test_codes_carry_exactly_the_set_of_the_most_similar(similarity: str, size: int, k: int) -> None:
    quantizer, z = made(similarity, size, k), latents(500, 2)
    x = z[0].T
    if similarity == "cosine":
        likeness = F.cosine_similarity(x[:, None], quantizer.codebook[None], dim=2)
    else:
        likeness = -torch.cdist(x / k, quantizer.codebook)
    best = likeness.topk(k).indices
    codes = quantizer.encode(z).codes
    assert torch.equal(quantizer._sets.set(codes[0].T), best.sort(1).values)
    torch.testing.assert_close(quantizer.decode(codes)[0].T, quantizer.codebook[best].sum(1))
    limits = torch.tensor(quantizer.codebook_sizes)
    assert codes.shape == (1, len(limits), 500)
    assert (codes[0] < limits[:, None]).all()


def test_digits_take_hardly_more_bits_than_enumeration() -> None:
    for size, k in [(1024, 8), (64, 4), (3, 2), (65536, 20)]:
        bits = sum(math.log2(digit) for digit in TopKConfig(codebook_size=size, k=k).codebook_sizes)
        exact = math.log2(math.comb(size, k))
        assert exact <= bits < exact + 0.1 * len(str(math.comb(size, k)))
    sizes = TopKConfig(codebook_size=1024, k=8).codebook_sizes
    assert sizes[:-1] == (1024,) * 6
    assert (sizes[-1] - 1) * 1024**6 < math.comb(1024, 8) <= sizes[-1] * 1024**6


@torch.no_grad()
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_no_move_within_the_gap_changes_a_code(similarity: str) -> None:
    quantizer, z = made(similarity), latents(2000, 3)
    codes, gap = quantizer.encode(z)
    assert (gap > 0).double().mean() > 0.99
    step = F.normalize(torch.randn_like(z), dim=1) * gap[:, None] * (1 - 1e-9)
    assert torch.equal(quantizer.encode(z + step).codes, codes)


def test_only_all_digits_decode() -> None:
    quantizer, z = made(), latents(10)
    codes = quantizer.encode(z).codes
    assert codes.shape[1] == 2
    with pytest.raises(ConfigError, match="all 2"):
        quantizer.decode(codes[:, :1])
    with pytest.raises(ConfigError, match="all 2"):
        quantizer.encode(z, 1)


def test_damaged_digits_are_an_error_and_no_other_set() -> None:
    quantizer, last = made(), math.comb(64, 4) - 1
    digits = [last % 1024, last // 1024]
    assert quantizer.decode(torch.tensor(digits)[None, :, None]).shape == (1, 6, 1)
    for wrong in ([digits[0] + 1, digits[1]], [1023, 1023], [-1, 0]):
        with pytest.raises(ConfigError, match="damaged"):
            quantizer.decode(torch.tensor(wrong)[None, :, None])


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_it_learns(similarity: str) -> None:
    quantizer, z = made(similarity).float(), latents(2000).float()

    def error() -> float:
        with torch.no_grad():
            return float((z - quantizer.decode(quantizer.encode(z).codes)).square().mean())

    before = error()
    fit(quantizer, z, steps=200, batch_frames=256, rate=3e-3)
    assert error() < 0.9 * before


def test_codes_that_nobody_uses_come_back() -> None:
    quantizer, z = made("euclidean"), latents(2000)
    with torch.no_grad():
        quantizer.codebook[8:] = 1e3
    quantizer.train()
    for _ in range(300):
        quantizer(z)
    sets = quantizer._sets.set(quantizer.encode(z).codes[0].T)
    assert len(sets.unique()) > 32


def test_training_and_encoding_choose_the_same_codes_with_vq_vaes_losses() -> None:
    quantizer, z = made(commitment=0.5), latents(100).requires_grad_()
    out = quantizer(z)
    assert torch.equal(out.codes, quantizer.encode(z).codes)
    torch.testing.assert_close(out.latents, quantizer.decode(out.codes))
    assert float(out.loss.detach()) == pytest.approx(1.5 * float((z - out.latents).detach().square().mean()))
    out.latents.sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, torch.ones_like(z))
    assert out.counts.shape == (2, 1024)
    assert out.counts.sum(1).tolist() == [100, 100]


@pytest.mark.parametrize(("size", "k"), [(8, 8), (8, 0), (70000, 2), (65536, 100)])
def test_sets_without_codes_are_refused(size: int, k: int) -> None:
    with pytest.raises(ConfigError):
        TopKConfig(codebook_size=size, k=k)
