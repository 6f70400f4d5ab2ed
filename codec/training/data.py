"""Training audio: random segments of the files below a folder, and whole validation clips."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import soundfile
import soxr  # type: ignore[import-untyped]
import torch
from torch.utils.data import DataLoader, Dataset

from codec.errors import AudioError

log = logging.getLogger(__name__)

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".w64", ".rf64"})


@dataclass(frozen=True)
class Clip:
    """One recording: its path, samples per channel, rate in Hz, and the folders it came from."""

    path: Path
    samples: int
    rate: int
    group: str
    speaker: str


def scan(root: Path) -> list[Clip]:
    """All readable recordings below root, sorted by path; unreadable ones are named in the log and left out.

    The first folder below the root is the clip's group, its own folder the speaker.

    Raises:
        AudioError: root is no folder, or nothing below it is readable audio.
    """
    if not root.is_dir():
        raise AudioError(f"{root} is not a folder of audio; give one with --data.root.")
    clips, bad = [], []
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES):
        try:
            info = soundfile.info(str(path))
        except (soundfile.SoundFileError, OSError):
            bad.append(path)
            continue
        if info.frames > 0:
            below = path.relative_to(root).parts
            clips.append(Clip(path, info.frames, info.samplerate, below[0], str(path.parent)))
    for path in bad:
        log.warning("left out, not readable as audio: %s", path)
    if not clips:
        raise AudioError(f"No readable audio was found below {root}.")
    log.info(
        "%d recordings, %.2f h below %s", len(clips), sum(c.samples / c.rate for c in clips) / 3600, root
    )
    return clips


class Segments(Dataset[torch.Tensor]):
    """Random mono segments `[1, samples]`; item i is a function of (seed, epoch, i) alone.

    A clip shorter than the segment is followed by other clips of the same speaker.
    """

    def __init__(
        self,
        clips: list[Clip],
        *,
        sample_rate: int,
        seconds: float,
        count: int,
        balance: float,
        speed: float,
        gain_db: tuple[float, float],
        seed: int,
        cache: bool,
    ) -> None:
        self._clips = clips
        self._sample_rate = sample_rate
        self._samples = round(seconds * sample_rate)
        self._count = count
        self._speed = speed
        self._gain_db = gain_db
        self._seed = seed
        self.epoch = 0
        durations = np.array([clip.samples / clip.rate for clip in clips])
        self._probabilities = np.cumsum(_balanced(clips, durations, balance))
        self._by_speaker: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(clips):
            self._by_speaker[clip.speaker].append(index)
        self._cached = [_decode(clip) for clip in clips] if cache else None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> torch.Tensor:
        rng = np.random.default_rng((self._seed, self.epoch, index))
        chosen = int(np.searchsorted(self._probabilities, rng.random() * self._probabilities[-1]))
        parts: list[np.ndarray] = []
        missing = self._samples
        while missing > 0:
            part = self._read(chosen, missing, rng)
            parts.append(part)
            missing -= len(part)
            chosen = int(rng.choice(self._by_speaker[self._clips[chosen].speaker]))
        segment = np.concatenate(parts)[: self._samples]
        peak = float(np.abs(segment).max(initial=1e-5))
        gain = min(10 ** (rng.uniform(*self._gain_db) / 20), 0.99 / peak)
        return torch.from_numpy(segment * np.float32(gain * rng.choice((-1, 1))))[None]

    def _read(self, index: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Up to `samples` samples at the target rate from a random place of a clip."""
        clip = self._clips[index]
        # Played at another speed a voice becomes another one: pitch and formants move together.
        rate = clip.rate * float(np.exp(rng.uniform(-1, 1) * np.log(self._speed)))
        wanted = int(np.ceil(samples * rate / self._sample_rate)) + 1
        first = int(rng.integers(0, max(1, clip.samples - wanted + 1)))
        x = self._cut(index, first, wanted)
        if rate != self._sample_rate:
            x = soxr.resample(x, rate, self._sample_rate, quality="HQ")
        # An empty result would never fill the segment.
        return x[:samples] if len(x) else np.zeros(1, np.float32)

    def _cut(self, index: int, first: int, count: int) -> np.ndarray:
        if self._cached is not None:
            return self._cached[index][first : first + count].astype(np.float32) / 32768
        clip = self._clips[index]
        try:
            with soundfile.SoundFile(str(clip.path)) as file:
                file.seek(first)
                return _mono(file.read(count, dtype="float32", always_2d=True))
        except (soundfile.SoundFileError, OSError):
            log.warning("silence in place of a segment of %s, which cannot be read", clip.path)
            return np.zeros(count, np.float32)


def _balanced(clips: list[Clip], durations: np.ndarray, balance: float) -> np.ndarray:
    """Probability of each clip: groups by duration ** balance, clips within a group by duration."""
    totals: dict[str, float] = defaultdict(float)
    for clip, seconds in zip(clips, durations, strict=True):
        totals[clip.group] += seconds
    weights = np.array([s * totals[c.group] ** (balance - 1) for c, s in zip(clips, durations, strict=True)])
    return weights / weights.sum()


def _decode(clip: Clip) -> np.ndarray:
    try:
        x = _mono(soundfile.read(str(clip.path), dtype="float32", always_2d=True)[0])
    except (soundfile.SoundFileError, OSError):
        log.warning("silence in place of %s, which cannot be read", clip.path)
        x = np.zeros(clip.samples, np.float32)
    return (x * 32767).clip(-32768, 32767).astype(np.int16)


def _mono(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.mean(axis=1))


class ValidationClips(Dataset[torch.Tensor]):
    """Whole recordings at the model's rate, mono, `[1, samples]`."""

    def __init__(self, clips: list[Clip], sample_rate: int) -> None:
        self._clips = clips
        self._sample_rate = sample_rate

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> torch.Tensor:
        clip = self._clips[index]
        x = _mono(soundfile.read(str(clip.path), dtype="float32", always_2d=True)[0])
        if clip.rate != self._sample_rate:
            x = soxr.resample(x, clip.rate, self._sample_rate, quality="VHQ")
        return torch.from_numpy(x)[None]


class AudioFolder(lightning.LightningDataModule):
    """Segments of all audio below a folder, for training, and whole clips of another one, for validation.

    Args:
        root: folder of training audio; its first-level folders are the groups that `balance` weighs.
        valid_root: folder of validation audio, never trained on.
        sample_rate: rate of the segments in Hz; recordings at other rates are resampled.
        segment: length of a training segment in seconds.
        batch_size: segments per batch and process.
        batches_per_epoch: batches between two validations.
        balance: groups are drawn in proportion to their duration to this power (1: as they are; 0: all
        alike).
        speed: segments are played at a random speed between 1/speed and speed.
        gain_db: range of the random gain in dB.
        cache: decode everything into memory at the start (2 bytes per sample) instead of reading by seeking.
        workers: loader processes.
        seed: of the choice of segments.
        valid_clips: validation clips to use, spread evenly over the folder.
    """

    def __init__(
        self,
        root: str,
        valid_root: str,
        sample_rate: int = 16000,
        segment: float = 1.0,
        batch_size: int = 12,
        batches_per_epoch: int = 500,
        balance: float = 0.5,
        speed: float = 1.15,
        gain_db: tuple[float, float] = (-12.0, 3.0),
        cache: bool = False,
        workers: int = 2,
        seed: int = 0,
        valid_clips: int = 20,
    ) -> None:
        super().__init__()
        self.root, self.valid_root = root, valid_root
        self.sample_rate, self.segment, self.batch_size = sample_rate, segment, batch_size
        self.batches_per_epoch, self.balance, self.speed = batches_per_epoch, balance, speed
        self.gain_db, self.cache, self.workers, self.seed = gain_db, cache, workers, seed
        self.valid_clips = valid_clips
        self._segments: Segments | None = None

    @property
    def segments(self) -> Segments:
        """The training segments, scanned once."""
        if self._segments is None:
            world = self.trainer.world_size if self.trainer else 1
            self._segments = Segments(
                scan(Path(self.root)),
                sample_rate=self.sample_rate,
                seconds=self.segment,
                count=self.batches_per_epoch * self.batch_size * world,
                balance=self.balance,
                speed=self.speed,
                gain_db=self.gain_db,
                seed=self.seed,
                cache=self.cache,
            )
        return self._segments

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        segments = self.segments
        segments.epoch = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(segments, self.batch_size, num_workers=self.workers, drop_last=True)

    def val_dataloader(self) -> DataLoader[torch.Tensor]:
        clips = scan(Path(self.valid_root))
        step = max(1, len(clips) // self.valid_clips)
        return DataLoader(ValidationClips(clips[::step][: self.valid_clips], self.sample_rate), batch_size=1)
