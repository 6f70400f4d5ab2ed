"""A prepared quantizer finds what the quantizer that it was made of finds."""

from __future__ import annotations

import pytest
import torch

from codec.errors import ConfigError
from codec.quantize import Quantizer
from codec.quantize.prepared import PreparedResidual, prepare
from tests.networks import SEANET, SPECTRAL, small_network


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


def test_only_codebooks_searched_by_distance_are_prepared(quantizer: Quantizer) -> None:
    assert isinstance(prepare(quantizer), PreparedResidual)
    cosine = small_network(SEANET).quantizer
    assert prepare(cosine) is cosine


def test_more_codebooks_than_there_are_do_not_decode(quantizer: Quantizer) -> None:
    with pytest.raises(ConfigError, match="1 to 4"):
        prepare(quantizer).decode(torch.zeros(1, 5, 1, dtype=torch.long))
