"""Which calls are close (`codec.exact`), and which stretches of audio decide them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# How far float32 can move a latent towards the border to another code, relative to its norm (or, if larger,
# to a typical latent's), for encoders that do not say theirs.
ROUNDING = 1e-5

# How far off a search in float32 can be about how far that border is, in the same measure: ten times the
# largest error that was seen, 3e-7.
SEARCH = 3e-6

# Frames recomputed at once: enough to be efficient, few enough for little memory.
_RECHECK_FRAMES = 1024


class Window(NamedTuple):
    """Consecutive frames of a row of audio, and those of them to decide; the first has its past before it."""

    row: int
    begin: int
    frames: int
    decided: list[int]


def windows(unsure: np.ndarray, old: int, reach: int, *, at_start: bool) -> Iterator[list[Window]]:
    """Groups of windows of equal length that hold all that unsure frames depend on.

    Args:
        unsure: `[batch, frames]`, bool.
        old: frames of audio there are before the first of them; windows count from the beginning of those.
        reach: frames before a frame that it depends on.
        at_start: the audio begins where the stream did.
    """
    alike: dict[int, list[Window]] = defaultdict(list)
    for row, marks in enumerate(unsure):
        for window in _of_row(row, (marks.nonzero()[0] + old).tolist(), reach, at_start):
            alike[window.frames].append(window)
    for frames, found in alike.items():
        at_once = max(1, _RECHECK_FRAMES // frames)
        for first in range(0, len(found), at_once):
            yield found[first : first + at_once]


def _of_row(row: int, unsure: list[int], reach: int, at_start: bool) -> list[Window]:
    """Windows for unsure frames (ascending), each of which depends on the `reach` frames before it."""
    found = []
    if at_start:
        # A stream's start is a state of its own, which no run-in of zeros can replace.
        early = [frame for frame in unsure if frame < reach]
        if early:
            found.append(Window(row, 0, early[-1] + 1, early))
        unsure = unsure[len(early) :]
    if unsure:
        whole = Window(row, unsure[0] - reach, unsure[-1] - unsure[0] + 1 + reach, unsure)
        if len(unsure) * (reach + 1) < whole.frames:
            found += [Window(row, frame - reach, reach + 1, [frame]) for frame in unsure]
        else:
            found.append(whole)
    return found
