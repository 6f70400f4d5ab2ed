"""Patterns of one id a codebook in each step: in parallel, or each codebook some steps later.

parallel   a0 b0 c0        delay   a0 b0 c0  .  .
           a1 b1 c1                 . a1 b1 c1  .
           a2 b2 c2                 .  . a2 b2 c2        (frames a, b, c; steps go to the right)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codec.errors import ConfigError
from codec.sequence.pattern import CodeStream, IdStream, Pattern
from codec.sequence.vocabulary import PAD, Ids, Vocabulary
from codec.tokens import Codes, check_int

_MAX_DELAY = 1 << 20


@dataclass(frozen=True)
class StepPattern(Pattern):
    """Ids `[steps, codebooks]`; `parallel` and `delay` make one.

    delays: steps that each codebook comes later than its frame. Where it has nothing to say there is PAD.
    """

    vocabulary: Vocabulary
    delays: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "delays", tuple(int(steps) for steps in self.delays))
        if len(self.delays) != self.codebooks:
            raise ConfigError(f"There must be a delay for each of the {self.codebooks} codebooks.")
        for steps in self.delays:
            check_int("a delay", steps, 0, _MAX_DELAY)
        if min(self.delays):
            raise ConfigError("The smallest delay must be 0: the others are counted from it.")

    @property
    def step(self) -> tuple[int, ...]:
        return (self.codebooks,)

    def length(self, frames: int) -> int:
        return frames + max(self.delays) if frames else 0

    def id_stream(self) -> IdStream:
        return _StepIds(self)

    def code_stream(self) -> CodeStream:
        return _StepCodes(self)


def parallel(codebook_sizes: Sequence[int], *, shared: bool = True) -> StepPattern:
    """All codes of a frame in one step. shared: the codebooks use the same ids (`Vocabulary`)."""
    return StepPattern(Vocabulary(tuple(codebook_sizes), shared), (0,) * len(codebook_sizes))


def delay(
    codebook_sizes: Sequence[int], delays: Sequence[int] | None = None, *, shared: bool = True
) -> StepPattern:
    """Each codebook some steps after the coarser one, so that a step can look at the coarser codes of its
    frame (MusicGen, Copet et al. 2023, section 2.2).

    delays: of each codebook, the smallest 0; 0, 1, 2, ... if not given.
    shared: the codebooks use the same ids (`Vocabulary`).
    """
    steps = tuple(range(len(codebook_sizes))) if delays is None else tuple(delays)
    return StepPattern(Vocabulary(tuple(codebook_sizes), shared), steps)


class _StepIds(IdStream):
    def __init__(self, pattern: StepPattern) -> None:
        self._pattern = pattern
        self._started = False
        # Ids of past frames that later steps still need, [codebooks, max(delays)].
        self._past = np.full((pattern.codebooks, max(pattern.delays)), PAD, np.int64)

    def push(self, codes: np.ndarray) -> Ids:
        ids = self._pattern.vocabulary.to_ids(codes)
        self._started |= ids.shape[1] > 0
        return self._take(ids)

    def flush(self) -> Ids:
        count = self._past.shape[1] if self._started else 0
        return self._take(np.full((self._pattern.codebooks, count), PAD, np.int64))

    def _take(self, ids: Ids) -> Ids:
        count, reach = ids.shape[1], self._past.shape[1]
        known = np.concatenate([self._past, ids], axis=1)
        self._past = known[:, known.shape[1] - reach :]
        rows = [
            known[k, reach - steps : reach - steps + count] for k, steps in enumerate(self._pattern.delays)
        ]
        return np.stack(rows, axis=1)


class _StepCodes(CodeStream):
    def __init__(self, pattern: StepPattern) -> None:
        self._pattern = pattern
        self._steps = 0
        # The last max(delays) steps, which hold parts of frames that are not whole yet.
        self._past = np.zeros((0, pattern.codebooks), np.int64)

    def push(self, ids: Ids) -> Codes:
        fresh = np.asarray(ids, np.int64)
        delays, reach = self._pattern.delays, max(self._pattern.delays)
        first = self._steps - len(self._past)  # the step that `known` begins with
        known = np.concatenate([self._past, fresh])
        places = np.arange(self._steps, self._steps + len(fresh))
        early = places[:, None] < np.array(delays)
        if (fresh[early] != PAD).any():
            raise ConfigError("Before a codebook's first frame there can only be PAD.")
        begin = max(0, self._steps - reach)  # the first frame that these steps complete
        self._steps += len(fresh)
        count = max(0, self._steps - reach - begin)
        rows = [
            known[begin + steps - first : begin + steps - first + count, k] for k, steps in enumerate(delays)
        ]
        self._past = known[len(known) - min(reach, len(known)) :]
        frames = np.stack(rows)
        books = np.arange(len(delays))[:, None]
        return self._pattern.vocabulary.to_codes(frames, np.broadcast_to(books, frames.shape))

    def flush(self, partial: bool = False) -> Codes:
        delays, reach = np.array(self._pattern.delays), max(self._pattern.delays)
        if not partial and self._steps:
            frames = self._steps - reach
            if frames < 1:
                raise ConfigError(f"{self._steps} steps hold no whole frame: one needs {reach + 1}.")
            places = np.arange(self._steps - len(self._past), self._steps)
            if (self._past[places[:, None] - delays >= frames] != PAD).any():
                raise ConfigError("After a codebook's last frame there can only be PAD: the end is missing.")
        self._steps, self._past = 0, self._past[:0]
        return np.zeros((self._pattern.codebooks, 0), np.uint16)
