"""Where recordings that follow each other in one token file begin: as close as whole frames allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Length:
    """How long a file is: its frames, and its wanted samples after `skip` decoded ones."""

    frames: int
    skip: int
    n_samples: int


@dataclass(frozen=True)
class Part:
    """What the joined file takes of one: frames first to last (exclusive), the last one `held` times more.

    late: samples by which its recording begins after the one before it ends; below 0 it begins early.
    """

    first: int
    last: int
    held: int
    late: Fraction


def join(lengths: Sequence[Length], spf: Fraction) -> list[Part]:
    """What to take of recordings of at least one sample, so that they follow each other.

    spf: samples per frame. Counted from the first decoded sample, recording i is wanted at
    `skip[0] + n_samples[0] + ... + n_samples[i - 1]`; it can be moved by whole frames only.
    """
    begins, shifts = [0], [0]
    lates = [Fraction(0)]
    at = lengths[0].skip + lengths[0].n_samples
    for length in lengths[1:]:
        inside = math.floor(length.skip / spf)
        # A recording shorter than a frame must not begin before the one before it.
        shift = max(round((at - length.skip) / spf), begins[-1] - inside)
        begins.append(shift + inside)
        shifts.append(shift)
        lates.append(shift * spf + length.skip - at)
        at += length.n_samples
    parts = []
    for k, length in enumerate(lengths):
        # Moved to the front, the last one's frames would end too soon.
        end = begins[k + 1] - shifts[k] if k + 1 < len(lengths) else length.frames + (lates[k] < 0)
        parts.append(
            Part(
                first=begins[k] - shifts[k],
                last=min(end, length.frames),
                held=max(0, end - length.frames),
                late=lates[k],
            )
        )
    return parts
