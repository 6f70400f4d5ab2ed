"""Sets and their numbers: every set has one, below C(n, k), and no digit of it is lost."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.quantize import TopKConfig
from codec.quantize.combinations import Combinations


def made(n: int, k: int) -> Combinations:
    return Combinations(n, k, len(TopKConfig(codebook_size=n, k=k).codebook_sizes))


def plain(digits: torch.Tensor) -> list[int]:
    return [sum(d << (10 * i) for i, d in enumerate(row)) for row in digits.tolist()]


@pytest.mark.parametrize(("n", "k"), [(2, 1), (7, 3), (12, 6), (15, 13), (20, 4)])
def test_sets_and_numbers_are_a_bijection(n: int, k: int) -> None:
    numbering, sets = made(n, k), torch.tensor(list(combinations(range(n), k)))
    digits = numbering.number(sets)
    assert sorted(plain(digits)) == list(range(math.comb(n, k)))
    assert torch.equal(numbering.set(digits), sets)
    assert bool(numbering.valid(digits).all())


@settings(derandomize=True, deadline=None, max_examples=20)
@given(data=st.data(), shape=st.sampled_from([(1024, 8), (60, 30), (4096, 12), (100, 97)]))
def test_numbers_past_64_bits_are_exact(data: st.DataObject, shape: tuple[int, int]) -> None:
    n, k = shape
    if shape not in _MADE:
        _MADE[shape] = made(n, k)
    seed = data.draw(st.integers(0, 2**32))
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:k]
    digits = _MADE[shape].number(chosen[None])
    assert plain(digits) == [sum(math.comb(c, i) for i, c in enumerate(sorted(chosen.tolist()), 1))]
    assert torch.equal(_MADE[shape].set(digits)[0], chosen.sort().values)


_MADE: dict[tuple[int, int], Combinations] = {}


@pytest.mark.parametrize(("n", "k"), [(1024, 8), (7, 3), (20, 4)])
def test_the_last_number_is_valid_and_the_next_is_not(n: int, k: int) -> None:
    numbering, last = made(n, k), math.comb(n, k) - 1
    digits = [[(number >> (10 * i)) & 1023 for i in range(numbering.digits)] for number in (last, last + 1)]
    assert numbering.valid(torch.tensor(digits)).tolist() == [True, False]
    assert numbering.set(torch.tensor(digits[:1])).tolist() == [list(range(n - k, n))]
