"""Codes that gain less than their price are skipped, and entry 0 stays what a skipped code adds: nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from codec.errors import ConfigError
from codec.quantize import (
    CosineConfig,
    EuclideanConfig,
    GroupedConfig,
    ResidualConfig,
    ResidualQuantizer,
    SplitConfig,
    TimeHierarchyConfig,
)
from codec.quantize.prepared import prepare
from codec.quantize.prices import drawn_prices, range_of


def latents(n: int = 2000, batch: int = 4) -> torch.Tensor:
    """Some frames are loud and some are nearly silent."""
    generator = torch.Generator().manual_seed(0)
    loud = torch.rand(batch, 1, n // batch, generator=generator) < 0.5
    return torch.randn(batch, 6, n // batch, generator=generator) * torch.where(loud, 3.0, 0.1)


def made(**changes: Any) -> ResidualQuantizer:
    torch.manual_seed(0)
    options: dict[str, Any] = {"skips": 0.5, **changes}
    quantizer = ResidualQuantizer(ResidualConfig(n_codebooks=5, codebook_size=16, **options), 6)
    quantizer.start(latents(), torch.Generator().manual_seed(0))
    return quantizer.eval()


def zeros(quantizer: ResidualQuantizer) -> list[bool]:
    return [
        not bool(tensor[0].any())
        for name, tensor in quantizer.state_dict().items()
        if name.endswith("codebook")
    ]


def test_entry_0_is_zero_from_the_start_and_through_training() -> None:
    quantizer = made(restart_below=0.5)
    assert zeros(quantizer) == [True] * 5
    quantizer.train()
    for _ in range(30):
        quantizer(latents() + 1)
    assert zeros(quantizer) == [True] * 5
    assert zeros(made(skips=0.0)) == [False] * 5


@pytest.mark.parametrize("beam", [1, 4])
def test_the_higher_the_price_the_fewer_codes_and_the_larger_the_error(beam: int) -> None:
    quantizer, z = made(beam=beam), latents()
    counts, errors = [], []
    for price in (0.05, 0.3, 2.0, 20.0):
        found = prepare(quantizer, price)
        codes = found.encode(z).codes
        counts.append(int((codes != 0).sum()))
        errors.append(float((z - found.decode(codes)).square().sum()))
    assert counts == sorted(counts, reverse=True)
    assert errors == sorted(errors)
    assert 0 < counts[-1] < counts[0] / 4


def test_quiet_frames_lose_their_codes_first() -> None:
    z = latents()
    codes = prepare(made(beam=4), 0.3).encode(z).codes
    sent, quiet = (codes != 0).sum(1), z.norm(dim=1) < 1
    assert sent[quiet].double().mean() < 0.5 < 3 < sent[~quiet].double().mean()


def test_in_training_only_what_is_worth_its_price_is_added() -> None:
    quantizer = made(skips=1.0, dropout=0.0).train()
    torch.manual_seed(1)
    z = latents().requires_grad_()
    quantized = quantizer(z)
    torch.testing.assert_close(quantized.latents.detach(), made().decode(quantized.codes), atol=1e-5, rtol=0)
    skipped = (quantized.codes == 0).double().mean((1, 2))
    assert 0.02 < float(skipped.min()) < float(skipped.max()) < 1
    # Statistics are of codes that were sent, and the gradient passes once, as without prices.
    assert int(quantized.counts[:, 1:].sum()) == int((quantized.codes != 0).sum())
    quantized.latents.sum().backward()
    assert z.grad is not None
    reached = (quantized.codes != 0).any(1)
    assert (z.grad.transpose(1, 2)[reached] == 1).all()
    assert not z.grad.transpose(1, 2)[~reached].any()


def test_prices_are_drawn_for_a_share_of_the_items() -> None:
    torch.manual_seed(0)
    prices = drawn_prices(4000, share=0.25, typical=torch.tensor(100.0))
    assert (prices > 0).double().mean() == pytest.approx(0.25, abs=0.03)
    least, most = range_of(made()) or (0.0, 0.0)
    scale = 100 / float(made().typical_norm().square())
    drawn = prices[prices > 0]
    assert least * scale <= float(drawn.min()) < float(drawn.max()) <= most * scale * (1 + 1e-5)
    # Of all orders of magnitude alike.
    middle = (least * most) ** 0.5 * scale
    assert (drawn < middle).double().mean() == pytest.approx(0.5, abs=0.05)


def test_outside_of_training_nothing_has_a_price() -> None:
    assert not made().draw_prices(8, 1.0).any()


def test_what_cannot_skip_codes_says_so() -> None:
    assert range_of(made(skips=0.0)) is None
    with pytest.raises(ConfigError, match="skip"):
        prepare(made(skips=0.0), 1.0)
    with pytest.raises(ConfigError, match="cosine"):
        ResidualConfig(lookup=CosineConfig(), skips=0.5)
    with pytest.raises(ConfigError, match="frozen"):
        ResidualConfig(lookup=EuclideanConfig(learning="frozen"), skips=0.5)
    with pytest.raises(ConfigError, match="probability"):
        ResidualConfig(skips=1.5)
    each = ResidualConfig(n_codebooks=2, skips=0.5)
    for build in (
        lambda: GroupedConfig(each=each),
        lambda: SplitConfig(semantic=each),
        lambda: TimeHierarchyConfig(stages=each),
    ):
        with pytest.raises(ConfigError, match="cannot skip"):
            build()
