"""Patterns of one id after the other: flattened, coarse first, and the order of multi-scale codes.

A block of frames is read in one or more passes; each pass goes over the block's frames, and takes the codes
of its codebooks from each.

    flatten        one pass of all codebooks:     a0 a1 a2  b0 b1 b2  c0 c1 c2
    coarse_first   one pass a codebook:           a0 b0 c0  a1 b1 c1  a2 b2 c2     (frames a, b, c)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from codec.errors import ConfigError
from codec.sequence.pattern import CodeStream, IdStream, Pattern
from codec.sequence.vocabulary import Ids, Vocabulary
from codec.tokens import Codes, check_int

_NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class BlockPattern(Pattern):
    """Ids `[n]`; `flatten`, `coarse_first` and `hierarchical` make one.

    passes: the codebooks of each pass; every codebook is in one.
    frames: of a block; None is the whole recording. The last block has what is left.
    """

    vocabulary: Vocabulary
    passes: tuple[tuple[int, ...], ...]
    frames: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes", tuple(tuple(int(k) for k in own) for own in self.passes))
        found = sorted(k for own in self.passes for k in own)
        if found != list(range(self.codebooks)) or not all(self.passes):
            raise ConfigError(f"Each of the {self.codebooks} codebooks must be in one pass: {self.passes}.")
        if self.frames is not None:
            check_int("the frames of a block", self.frames, 1, 1 << 40)

    @property
    def step(self) -> tuple[int, ...]:
        return ()

    def length(self, frames: int) -> int:
        return frames * self.codebooks

    def id_stream(self) -> IdStream:
        return _BlockIds(self)

    def code_stream(self) -> CodeStream:
        return _BlockCodes(self)

    def codebook_at(self, place: int, frames: int | None = None) -> int:
        """The codebook of the id at a place (without BOS); frames: of the recording, if blocks are that."""
        block = self.frames or frames
        if len(self.passes) == 1:
            return self.passes[0][place % self.codebooks]
        if block is None:
            raise ConfigError("Where a block is the whole recording, its number of frames must be given.")
        place %= block * self.codebooks
        for own in self.passes:
            if place < block * len(own):
                return own[place % len(own)]
            place -= block * len(own)
        raise AssertionError("passes have all codebooks")


def flatten(codebook_sizes: Sequence[int]) -> BlockPattern:
    """All codes of a frame, coarsest first, then the next frame."""
    whole = tuple(range(len(codebook_sizes)))
    return BlockPattern(Vocabulary(tuple(codebook_sizes)), (whole,), 1)


def coarse_first(
    codebook_sizes: Sequence[int], levels: Sequence[int] | None = None, frames: int | None = None
) -> BlockPattern:
    """The coarse codes of a stretch, then its finer ones (AudioLM, Borsos et al. 2022, section 3).

    levels: codebooks in each pass, e.g. (2, 6) for two coarse ones, flattened, and then six fine ones; one
        each if not given.
    frames: of a stretch, for streams that cannot wait; None is the whole recording.
    """
    count = len(codebook_sizes)
    counts = [1] * count if levels is None else list(levels)
    if sum(counts) != count or any(level < 1 for level in counts):
        raise ConfigError(f"levels must be numbers of codebooks that add up to {count}, not {counts}.")
    ends = np.cumsum([0, *counts]).tolist()
    passes = tuple(tuple(range(a, b)) for a, b in pairwise(ends))
    return BlockPattern(Vocabulary(tuple(codebook_sizes)), passes, frames)


def hierarchical(
    codebook_sizes: Sequence[int], strides: Sequence[int] = (4, 2, 1), stages: int = 1
) -> BlockPattern:
    """Multi-scale codes as a tree: each slow code, then the half of the faster ones that it spans, and so on.

    The order in which SNAC's codes (Siuzdak et al. 2024) are flattened for language models: for strides
    4, 2, 1 a frame is c0, c1a, c2a, c2b, c1b, c2c, c2d.

    Args:
        codebook_sizes: of codes whose frame has those of all levels, as `quantize.time_hierarchy` makes them:
            level by level, in each stage by stage, and there by time.
        strides: of the levels, falling, each a multiple of the next, the last 1 as a rule.
        stages: codebooks of each level at each point in time.
    """
    order = _tree(tuple(strides), stages)
    if len(order) != len(codebook_sizes):
        raise ConfigError(
            f"Levels of strides {tuple(strides)} with {stages} stage(s) have {len(order)} codes a frame, not "
            f"{len(codebook_sizes)}."
        )
    return BlockPattern(Vocabulary(tuple(codebook_sizes)), (order,), 1)


def join_levels(levels: Sequence[Codes]) -> Codes:
    """Codes `[codebooks, frames]` of one array a level, `[points * frames]`, as SNAC has them (one stage).

    Raises ConfigError unless each is a multiple of the first one's length.
    """
    frames = len(levels[0]) if levels else 0
    if not frames or any(level.ndim != 1 or len(level) % frames for level in levels):
        raise ConfigError("Levels must be arrays [n], each n a multiple of the first one's.")
    return np.concatenate([level.reshape(frames, -1).T for level in levels])


def split_levels(codes: Codes, strides: Sequence[int]) -> list[Codes]:
    """The inverse of `join_levels`: one array a level of these strides."""
    points = [strides[0] // stride for stride in strides]
    if sum(points) != len(codes):
        raise ConfigError(f"Levels of strides {tuple(strides)} have {sum(points)} codes a frame.")
    parts = np.split(codes, np.cumsum(points)[:-1])
    return [part.T.reshape(-1) for part in parts]


def _tree(strides: tuple[int, ...], stages: int) -> tuple[int, ...]:
    pairs = list(pairwise(strides))
    if not strides or strides[-1] < 1 or stages < 1 or any(a <= b or a % b for a, b in pairs):
        raise ConfigError(f"Strides must fall, each a multiple of the next, unlike {strides}.")
    points = [strides[0] // stride for stride in strides]
    firsts = np.cumsum([0, *(stages * count for count in points)]).tolist()
    order: list[int] = []

    def visit(level: int, point: int) -> None:
        order.extend(firsts[level] + stage * points[level] + point for stage in range(stages))
        if level + 1 < len(strides):
            children = points[level + 1] // points[level]
            for child in range(children):
                visit(level + 1, point * children + child)

    visit(0, 0)
    return tuple(order)


class _BlockIds(IdStream):
    def __init__(self, pattern: BlockPattern) -> None:
        self._pattern = pattern
        self._later: list[Ids] = []  # frames of the block in work, whose later passes are still to come
        self._count = 0

    def push(self, codes: np.ndarray) -> Ids:
        ids = self._pattern.vocabulary.to_ids(codes)
        head, *rest = self._pattern.passes
        if not rest:
            return ids[list(head)].T.reshape(-1)
        out, size = [_NO_IDS], self._pattern.frames
        while ids.shape[1]:
            taken = ids.shape[1] if size is None else min(size - self._count, ids.shape[1])
            part, ids = ids[:, :taken], ids[:, taken:]
            out.append(part[list(head)].T.reshape(-1))
            self._later.append(part)
            self._count += taken
            if self._count == size:
                out.append(self.flush())
        return np.concatenate(out)

    def flush(self) -> Ids:
        if not self._later:
            return _NO_IDS
        block = np.concatenate(self._later, axis=1)
        self._later, self._count = [], 0
        return np.concatenate([block[list(own)].T.reshape(-1) for own in self._pattern.passes[1:]])


class _BlockCodes(CodeStream):
    def __init__(self, pattern: BlockPattern) -> None:
        self._pattern = pattern
        self._waiting = _NO_IDS

    def push(self, ids: Ids) -> Codes:
        pattern = self._pattern
        self._waiting = np.concatenate([self._waiting, np.asarray(ids, np.int64)])
        unit = pattern.codebooks if len(pattern.passes) == 1 else pattern.codebooks * (pattern.frames or 0)
        whole = len(self._waiting) // unit * unit if unit else 0
        ready, self._waiting = self._waiting[:whole], self._waiting[whole:]
        if len(pattern.passes) == 1:
            return self._block(ready)
        parts = [self._block(ready[i : i + unit]) for i in range(0, whole, unit)] if unit else []
        return np.concatenate([self._block(_NO_IDS), *parts], axis=1)

    def flush(self, partial: bool = False) -> Codes:
        ids, self._waiting = self._waiting, _NO_IDS
        extra = len(ids) % self._pattern.codebooks
        if extra and not partial:
            raise ConfigError(f"The ids end within a frame: {extra} are left over.")
        whole = ids[: len(ids) - extra]
        if not partial or len(self._pattern.passes) == 1 or self._pattern.frames is None:
            return self._block(whole)
        # A last block may be short, or cut: then it has all of some codebooks where others should be.
        try:
            return self._block(ids if not extra else ids[:0])
        except ConfigError:
            return self._block(ids[:0])

    def _block(self, ids: Ids) -> Codes:
        """Codes of a whole block, or with one pass of any frames."""
        count = len(ids) // self._pattern.codebooks
        codes = np.zeros((self._pattern.codebooks, count), np.uint16)
        first = 0
        for own in self._pattern.passes:
            last = first + count * len(own)
            books = np.array(own)
            part = ids[first:last].reshape(count, len(own))
            codes[books] = self._pattern.vocabulary.to_codes(part, np.broadcast_to(books, part.shape)).T
            first = last
        return codes
