"""Residual quantization: prefixes decode, every stage helps, and dropped codebooks are fully dropped."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.quantize import (
    CosineConfig,
    EuclideanConfig,
    GumbelConfig,
    ResidualConfig,
    ResidualQuantizer,
    SimConfig,
    StochasticConfig,
)
from codec.quantize.config import LookupConfig
from codec.quantize.euclidean import EuclideanStage

LOOKUPS = [
    EuclideanConfig(),
    EuclideanConfig(learning="gradient"),
    EuclideanConfig(learning="frozen"),
    CosineConfig(dim=4),
    SimConfig(),
    GumbelConfig(),
    StochasticConfig(),
]


def quantizer(
    lookup: LookupConfig | None = None, *, n_codebooks: int = 4, dropout: float = 0.0
) -> ResidualQuantizer:
    torch.manual_seed(0)
    config = ResidualConfig(
        n_codebooks=n_codebooks,
        codebook_size=16,
        lookup=lookup or EuclideanConfig(),
        dropout=dropout,
        restart_below=0,
    )
    return ResidualQuantizer(config, 6)


def started(lookup: LookupConfig | None = None) -> tuple[ResidualQuantizer, torch.Tensor]:
    made = quantizer(lookup).eval()
    x = torch.randn(1000, 6)
    made.start(x.T[None], torch.Generator().manual_seed(0))
    return made, x.T[None]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_every_prefix_decodes_to_the_sum_of_its_codes(lookup: LookupConfig) -> None:
    made, z = started(lookup)
    codes = made.encode(z).codes
    assert codes.shape == (1, 4, 1000)
    total = torch.zeros_like(z)
    for n, stage in enumerate(made._stages(), 1):
        total = total + stage.vectors(codes[0, n - 1]).T
        torch.testing.assert_close(made.decode(codes[:, :n]), total)
        assert torch.equal(made.encode(z, n).codes, codes[:, :n])


def test_the_error_falls_with_every_stage() -> None:
    made, z = started()
    codes = made.encode(z).codes
    errors = [float((z - made.decode(codes[:, :n])).square().mean()) for n in range(1, 5)]
    assert errors[0] < float(z.square().mean())
    assert all(later < earlier for earlier, later in pairwise(errors))


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_training_and_encoding_choose_the_same_codes(lookup: LookupConfig) -> None:
    made, z = started(lookup)
    out = made.double()(z.double())
    encoded = made.encode(z.double())
    assert torch.equal(out.codes, encoded.codes)
    torch.testing.assert_close(out.latents, made.decode(encoded.codes))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 4))
def test_no_move_within_the_gap_changes_any_code(seed: int, n: int) -> None:
    made, _ = started()
    made = made.double()
    torch.manual_seed(seed)
    z = torch.randn(1, 6, 40).double()
    codes, gap = made.encode(z, n)
    step = torch.nn.functional.normalize(torch.randn_like(z), dim=1) * gap[:, None] * (1 - 1e-6)
    assert torch.equal(made.encode(z + step, n).codes, codes)


def test_an_item_with_n_codebooks_gets_exactly_their_sum() -> None:
    made, z = started()
    made.config = ResidualConfig(n_codebooks=4, codebook_size=16, dropout=1.0, restart_below=0)
    batch = z.reshape(6, 50, 20).transpose(0, 1)
    learned = [stage.state_dict()["codebook"].clone() for stage in made._stages()]
    made.train()
    out = made(batch)
    for stage, codebook in zip(made._stages(), learned, strict=True):
        stage.state_dict()["codebook"].copy_(codebook)
    prefixes = [made.decode(out.codes[:, :n]) for n in range(1, 5)]
    drawn = []
    for item in range(len(batch)):
        fits = [
            n
            for n, prefix in enumerate(prefixes, 1)
            if torch.allclose(out.latents[item], prefix[item], atol=1e-5)
        ]
        assert len(fits) == 1
        drawn += fits
    assert set(drawn) == {1, 2, 3, 4}
    assert out.counts.sum(1).tolist() == [20 * sum(n > stage for n in drawn) for stage in range(4)]


def test_dropped_stages_have_no_loss_and_do_not_learn() -> None:
    made, z = started()
    made.train()
    made._draw_codebooks = lambda batch, device: torch.full((batch,), 2)  # type: ignore[method-assign]
    before = [stage.state_dict()["codebook"].clone() for stage in made._stages()]
    z = z.clone().requires_grad_()
    out = made(z)
    changed = [not torch.equal(stage.codebook, old) for stage, old in zip(made.stages, before, strict=True)]  # type: ignore[arg-type]
    assert changed == [True, True, False, False]
    assert out.counts[2:].sum() == 0
    x, expected = z.detach(), 0.0
    for stage in range(2):
        x = x - before[stage][out.codes[0, stage]].T[None]
        expected += 0.25 * float(x.square().mean()) / 4
    assert float(out.loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_evaluation_uses_all_codebooks_and_learns_nothing() -> None:
    made = quantizer(dropout=1.0).eval()
    before = [stage.state_dict()["codebook"].clone() for stage in made._stages()]
    out = made(torch.randn(8, 6, 20))
    assert out.counts.sum(1).tolist() == [160] * 4
    assert all(torch.equal(s.codebook, old) for s, old in zip(made.stages, before, strict=True))  # type: ignore[arg-type]


def test_dropout_draws_every_number_of_codebooks_alike() -> None:
    made = quantizer(dropout=0.5).train()
    drawn = torch.bincount(made._draw_codebooks(40_000, torch.device("cpu")), minlength=5) / 40_000
    torch.testing.assert_close(drawn, torch.tensor([0, 0.125, 0.125, 0.125, 0.625]), rtol=0, atol=0.01)


def test_equal_codes_are_found_in_every_codebook() -> None:
    made = quantizer()
    stage = made.stages[2]
    assert isinstance(stage, EuclideanStage)
    stage.codebook[9] = stage.codebook[4]
    firsts = [first.tolist() for first in made.first_equals()]
    assert firsts[0] == list(range(16))
    assert firsts[2] == [4 if i == 9 else i for i in range(16)]


@pytest.mark.parametrize("n", [0, 5])
def test_codes_of_another_number_of_codebooks_are_refused(n: int) -> None:
    with pytest.raises(ConfigError, match="1 to 4"):
        quantizer().decode(torch.zeros(1, n, 3, dtype=torch.long))
