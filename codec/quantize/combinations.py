"""Sets of k out of n codes as numbers below C(n, k), and back: the combinatorial number system.

A set c_1 < c_2 < ... < c_k has the number `sum of C(c_i, i)` (Knuth, The Art of Computer Programming 4A,
section 7.2.1.3, theorem L; enumerative coding: Cover 1973). Numbers grow past 64 bits, so all arithmetic here
is on digits below 1024, the lowest first, and exact.
"""

from __future__ import annotations

import torch

BASE = 1024


class Combinations:
    """Numbers of sets of k out of n, as digits.

    Args:
        n: things to choose from. k: things in a set, below n.
        digits: how many digits hold C(n, k) - 1.
    """

    def __init__(self, n: int, k: int, digits: int) -> None:
        self.n, self.k, self.digits = n, k, digits
        # binomials[i - 1, c] = C(c, i), as digits, one more than sets need so that C(n, k) itself fits.
        # By rows of Pascal's triangle: C(c, i) = sum of C(b, i - 1) for b < c. Memory: int16 digits.
        row = torch.zeros(n + 1, digits + 1, dtype=torch.long)
        row[:, 0] = 1  # C(c, 0)
        rows = []
        for _ in range(k):
            row = torch.cat([torch.zeros_like(row[:1]), row[:-1].cumsum(0)])
            row = _carry(row)
            rows.append(row.to(torch.int16))
        self.binomials = torch.stack(rows)

    def number(self, sets: torch.Tensor) -> torch.Tensor:
        """Digits `[..., digits]` of sets `[..., k]`, int64, in any order."""
        ordered = sets.sort(dim=-1).values
        positions = torch.arange(self.k, device=sets.device)
        binomials = self.binomials.to(sets.device)
        return _carry(binomials[positions, ordered].sum(-2, dtype=torch.long))[..., : self.digits]

    def set(self, digits: torch.Tensor) -> torch.Tensor:
        """Sets `[..., k]`, rising, with numbers `[..., digits]` that are `valid`.

        From the last element down, each is the largest c with C(c, i) not above what is left of the number.
        """
        left = torch.cat([digits, torch.zeros_like(digits[..., :1])], -1)
        binomials = self.binomials.to(digits.device)
        found = []
        for i in range(self.k, 0, -1):
            row = binomials[i - 1]
            # Bisection, with C(low, i) <= left < C(high, i).
            low = torch.zeros_like(left[..., 0])
            high = torch.full_like(low, self.n - self.k + i)
            for _ in range(self.n.bit_length()):
                middle = (low + high) // 2
                fits = ~_less(left, row[middle].long())
                low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
            found.append(low)
            left = _carry(left - row[low].long())
        return torch.stack(found[::-1], -1)

    def valid(self, digits: torch.Tensor) -> torch.Tensor:
        """Whether numbers `[..., digits]` are below C(n, k), `[...]`."""
        left = torch.cat([digits, torch.zeros_like(digits[..., :1])], -1)
        limit = self.binomials[-1, self.n].to(digits.device).long()
        in_range = ((digits >= 0) & (digits < BASE)).all(-1)
        return in_range & _less(left, limit.expand_as(left))


def _carry(digits: torch.Tensor) -> torch.Tensor:
    """The same numbers with all digits from 0 to 1023; the last digit takes what is left."""
    done: list[torch.Tensor] = []
    carry = torch.zeros_like(digits[..., 0])
    for digit in digits.unbind(-1):
        total = digit + carry
        carry = total >> 10  # towards minus infinity, so that borrowing works as carrying does
        done.append(total & (BASE - 1))
    return torch.stack(done, -1)


def _less(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Whether numbers a are below numbers b, both `[..., digits]`."""
    less = torch.zeros_like(a[..., 0], dtype=torch.bool)
    # From the lowest digit on, so that higher ones have the last word.
    for x, y in zip(a.unbind(-1), b.unbind(-1), strict=True):
        less = (x < y) | ((x == y) & less)
    return less
