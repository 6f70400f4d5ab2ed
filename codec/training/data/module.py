"""Data modules: where recordings come from, and how they reach the trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from torch.utils.data import Dataset

from codec.errors import AudioError, ConfigError
from codec.resampling import resample
from codec.training.data.augment import AugmentConfig
from codec.training.data.clips import Clip, read_stretch, scan
from codec.training.data.loader import ClipLoader, SegmentLoader, spread
from codec.training.data.manifest import read_manifest
from codec.training.data.segments import MixedSegments, SegmentConfig, Segments
from codec.training.data.shards import read_shards
from codec.training.split import held_out

_RATES = (1000, 384_000)
_HELD_OUT = 0.02


class ValidationClips(Dataset[torch.Tensor]):
    """Whole recordings at `sample_rate` Hz, float32 `[channels, samples]`; raises AudioError when read."""

    def __init__(self, clips: Sequence[Clip], sample_rate: int, channels: int = 1) -> None:
        self._clips = list(clips)
        self._sample_rate, self._channels = sample_rate, channels

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> torch.Tensor:
        clip = self._clips[index]
        x = read_stretch(clip, 0, clip.samples, self._channels)
        return torch.from_numpy(resample(x, clip.rate, self._sample_rate))


class AudioData(lightning.LightningDataModule, ABC):
    """Random segments for training and whole clips for validation; children say of which recordings.

    Args:
        sample_rate: of the segments in Hz; recordings at other rates are resampled.
        channels: 1 mixes down; 2 keeps stereo and repeats mono.
        segments: their length, number, order and loading.
        augment: changes to them; all off by default.
        valid_clips: validation clips to use, spread evenly over those there are.

    Raises:
        ConfigError: a rate or number of channels that is not possible.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__()
        if not _RATES[0] <= sample_rate <= _RATES[1]:
            raise ConfigError(f"data.sample_rate is {sample_rate} Hz: use {_RATES[0]} to {_RATES[1]} Hz.")
        if channels not in (1, 2):
            raise ConfigError(f"data.channels is {channels}: use 1 (mono) or 2 (stereo).")
        self.sample_rate, self.channels = sample_rate, channels
        self.segment_config, self.augment, self.valid_clips = segments, augment, valid_clips
        self._segments: Segments | MixedSegments | None = None
        self._clips: tuple[list[Clip], list[Clip]] | None = None

    @abstractmethod
    def find(self) -> tuple[list[Clip], list[Clip]]:
        """The recordings for training, and those for validation (maybe none); raises AudioError."""

    @property
    def clips(self) -> tuple[list[Clip], list[Clip]]:
        """What `find` found, once."""
        if self._clips is None:
            self._clips = self.find()
        return self._clips

    @property
    def segments(self) -> Segments | MixedSegments:
        """An epoch's training segments of all processes, `[channels, samples]` each.

        Raises:
            AudioError: no recordings, or less of them than one segment.
        """
        if self._segments is None:
            config = self.segment_config
            self._segments = self.make_segments(config.batches_per_epoch * config.batch_size * self._world)
        return self._segments

    def make_segments(self, count: int) -> Segments | MixedSegments:
        """`count` segments an epoch."""
        return Segments(
            self.clips[0],
            self.segment_config,
            sample_rate=self.sample_rate,
            count=count,
            channels=self.channels,
            augment=self.augment,
        )

    def setup(self, stage: str) -> None:
        """Looks at all recordings before anything is trained."""
        if stage == "fit":
            _ = self.segments

    def train_dataloader(self) -> SegmentLoader:
        config = self.segment_config
        return SegmentLoader(
            self.segments,
            config.batches_per_epoch,
            config.batch_size,
            rank=self._rank,
            world=self._world,
            workers=config.workers,
            epoch=self.trainer.current_epoch if self.trainer else 0,
        )

    def val_dataloader(self) -> ClipLoader:
        clips = spread(self.clips[1], self.valid_clips)
        return ClipLoader(
            ValidationClips(clips, self.sample_rate, self.channels), len(clips), self._rank, self._world
        )

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0


def _without_some(clips: list[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on, and about 2 % held out: other speakers, or other clips of an only one."""
    seconds = [clip.seconds for clip in clips]
    held = held_out([clip.speaker for clip in clips], seconds, _HELD_OUT, seed=0)
    if not any(held):
        held = held_out([str(i) for i in range(len(clips))], seconds, _HELD_OUT, seed=0)
    train = [clip for clip, out in zip(clips, held, strict=True) if not out]
    return train, [clip for clip, out in zip(clips, held, strict=True) if out]


class AudioFolder(AudioData):
    """All audio below a folder; its first-level folders are the groups, the innermost ones the speakers.

    Args:
        root: folder of training audio.
        valid_root: folder of validation audio, never trained on; null holds out about 2 % of `root`, by
            speakers.
    """

    def __init__(
        self,
        root: str,
        valid_root: str | None = None,
        sample_rate: int = 16000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        self.root, self.valid_root = root, valid_root

    def find(self) -> tuple[list[Clip], list[Clip]]:
        clips = scan(Path(self.root))
        return _without_some(clips) if self.valid_root is None else (clips, scan(Path(self.valid_root)))


class Manifest(AudioData):
    """The recordings in a CSV or JSONL list, by its column `split`: "train" and "valid" (see data.manifest).

    Args:
        path: the list, as `codec prepare` writes it.
    """

    def __init__(
        self,
        path: str,
        sample_rate: int = 16000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        self.path = path

    def find(self) -> tuple[list[Clip], list[Clip]]:
        splits = read_manifest(Path(self.path))
        if not splits.get("train"):
            raise AudioError(f"{self.path} lists no readable recording with the split 'train'.")
        return splits["train"], splits.get("valid", [])


class Shards(AudioData):
    """Recordings in tar shards of WebDataset's layout.

    Args:
        pattern: a path, a glob, or braces like train-{000..099}.tar.
        valid_pattern: shards for validation; null holds out about 2 %, by speakers.
    """

    def __init__(
        self,
        pattern: str,
        valid_pattern: str | None = None,
        sample_rate: int = 16000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        self.pattern, self.valid_pattern = pattern, valid_pattern

    def find(self) -> tuple[list[Clip], list[Clip]]:
        clips = read_shards(self.pattern)
        return (
            _without_some(clips) if self.valid_pattern is None else (clips, read_shards(self.valid_pattern))
        )
