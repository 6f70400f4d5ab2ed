"""A prepared quantizer finds what the quantizer that it was made of finds."""

from __future__ import annotations

import pytest
import torch

from codec.errors import ConfigError
from codec.quantize import (
    CosineConfig,
    GumbelConfig,
    LatticeConfig,
    Quantizer,
    ResidualConfig,
    ScalarConfig,
    SimConfig,
    StochasticConfig,
    build_quantizer,
)
from codec.quantize.config import LookupConfig, SplitConfig
from codec.quantize.prepared import PreparedPaths, PreparedResidual, PreparedSplit, prepare
from tests.networks import SPECTRAL, small_network


@pytest.fixture(scope="module")
def quantizer() -> Quantizer:
    return small_network(SPECTRAL).quantizer.double()


@pytest.mark.parametrize("frames", [1, 5, 300])
@pytest.mark.parametrize("codebooks", [1, 3, None])
def test_codes_are_those_of_the_original_and_gaps_are_no_larger(
    quantizer: Quantizer, frames: int, codebooks: int | None
) -> None:
    torch.manual_seed(0)
    z = torch.randn(2, 12, frames, dtype=torch.float64)
    expected, made = quantizer.encode(z, codebooks), prepare(quantizer).encode(z, codebooks)
    assert torch.equal(made.codes, expected.codes)
    assert (made.gap <= expected.gap * (1 + 1e-9)).all()
    # Where rounding could matter, nothing is lost.
    near = expected.gap < 1e-5 * z.norm(dim=1)
    torch.testing.assert_close(made.gap[near], expected.gap[near])
    torch.testing.assert_close(prepare(quantizer).decode(made.codes), quantizer.decode(expected.codes))


@pytest.mark.parametrize("frames", [4, 40])
def test_a_border_between_codes_has_no_gap_and_equal_codes_have_no_border(frames: int) -> None:
    codebook = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 9.0]])
    quantizer = PreparedResidual([codebook])
    border = quantizer.encode(torch.tensor([0.5, 0.0])[None, :, None].expand(1, 2, frames))
    assert (border.gap == 0).all()
    beside = quantizer.encode(torch.tensor([1.0, 0.0])[None, :, None].expand(1, 2, frames))
    assert (beside.gap > 0.04).all()


@pytest.mark.parametrize(
    "lookup",
    [CosineConfig(dim=4), ScalarConfig(levels=(4, 3, 2)), SimConfig(), GumbelConfig(), StochasticConfig()],
)
@pytest.mark.parametrize("frames", [1, 200])
def test_every_lookup_that_is_prepared_finds_the_same(lookup: LookupConfig, frames: int) -> None:
    torch.manual_seed(0)
    original = build_quantizer(ResidualConfig(n_codebooks=3, codebook_size=24, lookup=lookup), 12).double()
    original.start(torch.randn(1, 12, 900, dtype=torch.float64), torch.Generator().manual_seed(0))
    z = torch.randn(2, 12, frames, dtype=torch.float64)
    made = prepare(original.eval())
    assert made is not original
    for n in (2, None):
        expected, found = original.encode(z, n), made.encode(z, n)
        assert torch.equal(found.codes, expected.codes)
        assert (found.gap <= expected.gap * (1 + 1e-9)).all()
        torch.testing.assert_close(made.decode(found.codes), original.decode(expected.codes))
    torch.testing.assert_close(made.typical_norm(), original.typical_norm().float(), check_dtype=False)
    assert all(torch.equal(a, b) for a, b in zip(made.first_equals(), original.first_equals(), strict=True))


@pytest.mark.parametrize("frames", [1, 40])
def test_both_halves_of_a_split_quantizer_are_prepared(frames: int) -> None:
    torch.manual_seed(0)
    each = [ResidualConfig(n_codebooks=n, codebook_size=24) for n in (2, 3)]
    original = build_quantizer(SplitConfig(dim=6, semantic=each[0], acoustic=each[1]), 12).double()
    original.start(torch.randn(1, 12, 900, dtype=torch.float64), torch.Generator().manual_seed(0))
    z = torch.randn(2, 12, frames, dtype=torch.float64)
    made = prepare(original.eval())
    assert isinstance(made, PreparedSplit)
    for n in (1, 2, 3, None):
        expected, found = original.encode(z, n), made.encode(z, n)
        assert torch.equal(found.codes, expected.codes)
        assert (found.gap <= expected.gap * (1 + 1e-9)).all()
        torch.testing.assert_close(made.decode(found.codes), original.decode(expected.codes))
    torch.testing.assert_close(made.typical_norm(), original.typical_norm())
    assert all(torch.equal(a, b) for a, b in zip(made.first_equals(), original.first_equals(), strict=True))
    with pytest.raises(ConfigError, match="1 to 5"):
        made.decode(torch.zeros(1, 6, 1, dtype=torch.long))


def test_lattices_stay_as_they_are(quantizer: Quantizer) -> None:
    assert isinstance(prepare(quantizer), PreparedResidual)
    config = ResidualConfig(n_codebooks=2, codebook_size=16, lookup=LatticeConfig(lattice="d4"))
    made = build_quantizer(config, 12)
    assert prepare(made) is made


def test_beams_find_the_same() -> None:
    torch.manual_seed(0)
    made = build_quantizer(ResidualConfig(n_codebooks=3, codebook_size=16, beam=4), 12).eval()
    z = torch.randn(2, 12, 50)
    made.start(z, torch.Generator().manual_seed(0))
    prepared = prepare(made)
    assert isinstance(prepared, PreparedPaths)
    for n in (1, 2, None):
        expected, found = made.encode(z, n), prepared.encode(z, n)
        assert torch.equal(found.codes, expected.codes)
        torch.testing.assert_close(found.gap, expected.gap)
        torch.testing.assert_close(prepared.decode(found.codes), made.decode(expected.codes))


def test_more_codebooks_than_there_are_do_not_decode(quantizer: Quantizer) -> None:
    with pytest.raises(ConfigError, match="1 to 4"):
        prepare(quantizer).decode(torch.zeros(1, 5, 1, dtype=torch.long))
