"""Random segments of recordings, each a function of the seed, the epoch and its number alone."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import soxr  # type: ignore[import-untyped]
import torch
from torch.utils.data import Dataset

from codec.errors import AudioError, ConfigError
from codec.training.data.augment import Augment, AugmentConfig
from codec.training.data.clips import Clip, read_stretch

log = logging.getLogger(__name__)

# An index of the current epoch, or an epoch and an index in it.
Key = int | tuple[int, int]


@dataclass(frozen=True)
class SegmentConfig:
    """Which segments training sees, and how they are loaded.

    seconds: length of a segment. batch_size: segments per batch and process.
    batches_per_epoch: batches between two validations.
    balance: groups are drawn in proportion to their duration to this power (1: as they are; 0: all alike).
    seed: of the choice of segments and of their augmentation. workers: loader processes per process.
    cache: decode the corpus into memory at the start (2 bytes a sample) instead of seeking in its files.

    Raises:
        ConfigError: a length or count that is not positive.
    """

    seconds: float = 1.0
    batch_size: int = 12
    batches_per_epoch: int = 500
    balance: float = 0.5
    seed: int = 0
    workers: int = 2
    cache: bool = False

    def __post_init__(self) -> None:
        for name in ("seconds", "batch_size", "batches_per_epoch"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"segments.{name} is {getattr(self, name)}: use a number above 0.")
        if self.workers < 0 or self.seed < 0:
            raise ConfigError("segments.workers and segments.seed cannot be below 0.")


class Segments(Dataset[torch.Tensor]):
    """Random segments, float32 `[channels, samples]` at `sample_rate` Hz.

    `segments[i]` is item i of epoch `epoch`, `segments[e, i]` of epoch e; both always give the same. A clip
    that is shorter than the segment is followed by other clips of its speaker. A recording that breaks while
    training runs becomes silence, and is named in the log once.

    Raises:
        AudioError: all clips together are shorter than one segment, or the rate is too low for one sample.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        config: SegmentConfig,
        *,
        sample_rate: int,
        count: int,
        channels: int = 1,
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
    ) -> None:
        self.epoch = 0
        self._clips = list(clips)
        self._seed, self._count = config.seed, count
        self._sample_rate, self._channels = sample_rate, channels
        self._samples = round(config.seconds * sample_rate)
        self._augment = Augment(augment, sample_rate)
        total = sum(clip.seconds for clip in clips)
        if self._samples < 1 or total < config.seconds:
            raise AudioError(
                f"The corpus is too short: its {len(clips)} recordings have {total:.2f} s in all, less than "
                f"one segment of {config.seconds:g} s (data.segments.seconds)."
            )
        self._cumulative = np.cumsum(probabilities(clips, config.balance))
        self._by_speaker: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(clips):
            self._by_speaker[clip.speaker].append(index)
        self._broken: set[str] = set()
        self._cached: list[np.ndarray] | None = None
        if config.cache:
            with ThreadPoolExecutor() as pool:
                self._cached = list(pool.map(self._decode, self._clips))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: Key) -> torch.Tensor:
        epoch, index = (self.epoch, key) if isinstance(key, int) else key
        return torch.from_numpy(self.draw(np.random.default_rng((self._seed, epoch, index))))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A segment, float32 `[channels, samples]`, that depends on rng alone."""
        chosen = int(np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1]))
        parts: list[np.ndarray] = []
        missing = self._samples
        while missing > 0:
            part = self._read(chosen, missing, rng)
            parts.append(part)
            missing -= part.shape[1]
            chosen = int(rng.choice(self._by_speaker[self._clips[chosen].speaker]))
        return self._augment(np.concatenate(parts, axis=1)[:, : self._samples], rng)

    def _read(self, index: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Up to `samples` samples at the target rate from a random place of a clip."""
        clip = self._clips[index]
        # Played at another speed a voice becomes another one: pitch and formants move together.
        rate = clip.rate * self._augment.speed(rng)
        wanted = int(np.ceil(samples * rate / self._sample_rate)) + 1
        first = int(rng.integers(0, max(1, clip.samples - wanted + 1)))
        x = self._cut(index, first, wanted)
        if rate != self._sample_rate:
            x = soxr.resample(x.T, rate, self._sample_rate, quality="HQ").T
        # An empty result would never fill the segment.
        return x[:, :samples] if x.shape[1] else np.zeros((self._channels, 1), np.float32)

    def _cut(self, index: int, first: int, count: int) -> np.ndarray:
        if self._cached is not None:
            return self._cached[index][:, first : first + count].astype(np.float32) / 32768
        try:
            return read_stretch(self._clips[index], first, count, self._channels)
        except AudioError as error:
            self._complain(error, self._clips[index])
            return np.zeros((self._channels, count), np.float32)

    def _decode(self, clip: Clip) -> np.ndarray:
        try:
            x = read_stretch(clip, 0, clip.samples, self._channels)
        except AudioError as error:
            self._complain(error, clip)
            x = np.zeros((self._channels, clip.samples), np.float32)
        return (x * 32768).clip(-32768, 32767).astype(np.int16)

    def _complain(self, error: AudioError, clip: Clip) -> None:
        if clip.name not in self._broken:
            self._broken.add(clip.name)
            log.warning("silence in place of %s: %s", clip.name, error)


class MixedSegments(Dataset[torch.Tensor]):
    """Segments of several sources, each item from a source drawn with the sources' weights."""

    def __init__(self, sources: Sequence[Segments], weights: Sequence[float], seed: int, count: int) -> None:
        self.epoch = 0
        self._sources, self._seed, self._count = list(sources), seed, count
        self._cumulative = np.cumsum(np.asarray(weights, dtype=np.float64) / np.sum(weights))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: Key) -> torch.Tensor:
        epoch, index = (self.epoch, key) if isinstance(key, int) else key
        rng = np.random.default_rng((self._seed, epoch, index))
        # side="right": a source of weight 0 is never drawn, not even by a draw of exactly 0.
        drawn = np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right")
        return torch.from_numpy(self._sources[int(drawn)].draw(rng))


def probabilities(clips: Sequence[Clip], balance: float) -> np.ndarray:
    """Of each clip to be drawn: groups by duration ** balance, clips within a group by duration."""
    totals: dict[str, float] = defaultdict(float)
    for clip in clips:
        totals[clip.group] += clip.seconds
    weights = np.array([clip.seconds * totals[clip.group] ** (balance - 1) for clip in clips])
    scaled: np.ndarray = weights / weights.sum()
    return scaled
