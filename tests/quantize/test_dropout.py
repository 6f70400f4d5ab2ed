"""With how many codebooks items train."""

from __future__ import annotations

import pytest
import torch

from codec.quantize.dropout import used_codebooks


def shares(n: int, share: float, law: str) -> torch.Tensor:
    torch.manual_seed(0)
    used = used_codebooks(n, 60_000, share=share, law=law)  # type: ignore[arg-type]
    return torch.bincount(used, minlength=n + 1) / len(used)


@pytest.mark.parametrize("law", ["uniform", "octaves"])
def test_all_items_use_all_codebooks_without_dropout(law: str) -> None:
    assert shares(5, 0.0, law).tolist() == [0, 0, 0, 0, 0, 1]


def test_every_number_is_drawn_alike() -> None:
    expected = torch.tensor([0, 0.125, 0.125, 0.125, 0.625])
    torch.testing.assert_close(shares(4, 0.5, "uniform"), expected, rtol=0, atol=0.01)


def test_every_halving_of_the_bitrate_is_drawn_alike() -> None:
    found = shares(15, 1.0, "octaves")
    assert found[0] == 0
    octaves = torch.stack([found[1], found[2:4].sum(), found[4:8].sum(), found[8:16].sum()])
    torch.testing.assert_close(octaves, torch.full((4,), 0.25), rtol=0, atol=0.01)


def test_one_codebook_is_always_used() -> None:
    assert shares(1, 1.0, "octaves").tolist() == [0, 1]
