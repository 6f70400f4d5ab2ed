"""Training and validation without a speaker in both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def held_out(speakers: Sequence[str], seconds: Sequence[float], share: float, seed: int) -> list[bool]:
    """Which recordings are for validation: those of whole speakers, about `share` of the total duration.

    Speakers are taken in an order that depends on the seed: first of those with less than a third of what is
    wanted, so that there are several, then of all with which it is not half as much again. If there are none,
    the shortest speaker is taken, but never all speakers: of a single one nothing is held out.
    """
    totals: dict[str, float] = {}
    for speaker, duration in zip(speakers, seconds, strict=True):
        totals[speaker] = totals.get(speaker, 0.0) + duration
    names = sorted(totals)
    wanted = share * sum(totals.values())
    if wanted <= 0 or len(names) < 2:
        return [False] * len(speakers)
    chosen: set[str] = set()
    held = 0.0
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    for limit in (wanted / 3, 1.5 * wanted):
        for name in order:
            fits = totals[name] <= limit and held + totals[name] <= 1.5 * wanted
            if held < wanted and fits and name not in chosen and len(chosen) < len(names) - 1:
                chosen.add(name)
                held += totals[name]
    if not chosen:
        chosen.add(min(names, key=lambda name: totals[name]))
    return [speaker in chosen for speaker in speakers]
