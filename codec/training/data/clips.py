"""Recordings to train on: what is known of each before it is decoded, and how to find them in a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from codec.containers import AUDIO_SUFFIXES
from codec.errors import AudioError
from codec.resampling import MAX_RATE, MIN_RATE
from codec.training.data.section import Section

log = logging.getLogger(__name__)

_NAMED = 20
# Headers are small and disks are slow to seek: threads wait together.
_THREADS = 8


@dataclass(frozen=True)
class Member:
    """Where a file lies inside an archive: its name there, its first byte, its size in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Clip:
    """One recording: a whole file, a stretch of it, or a file inside a tar archive.

    samples: per channel, at `rate` Hz, from sample `start` of the file on. group: what `balance` weighs.
    speaker: whose clips may be joined where one is too short.
    """

    path: Path
    samples: int
    rate: int
    group: str
    speaker: str
    start: int = 0
    member: Member | None = None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate

    @property
    def name(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}/{self.member.name}"


@contextmanager
def opened(path: Path, member: Member | None = None) -> Iterator[soundfile.SoundFile]:
    """The recording in a file or in a member of an archive.

    Raises:
        AudioError: it cannot be read or, inside the block, cannot be decoded.
    """
    shown = path if member is None else f"{path}/{member.name}"
    try:
        if member is None:
            with soundfile.SoundFile(str(path)) as file:
                yield file
        else:
            section = Section(path, member.offset, member.size)
            with section, soundfile.SoundFile(section) as file:
                yield file
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise AudioError(f"{shown} cannot be read as audio: leave it out or repair it.") from error


def read_stretch(clip: Clip, first: int, count: int, channels: int) -> np.ndarray:
    """Up to `count` samples of a clip from its sample `first` on, by seeking: float32 `[channels, samples]`.

    Raises:
        AudioError: it cannot be decoded, holds a sample that is not finite, or ends before `first`.
    """
    count = min(count, clip.samples - first)
    with opened(clip.path, clip.member) as file:
        file.seek(clip.start + first)
        x = with_channels(file.read(count, dtype="float32", always_2d=True).T, channels)
    if x.shape[1] == 0 or not np.isfinite(x).all():
        raise AudioError(f"{clip.name} ends too early or has samples that are no numbers.")
    return x


def with_channels(x: np.ndarray, channels: int) -> np.ndarray:
    """`[any, samples]` as `[channels, samples]`: a mono mix, mono repeated, or the first channels."""
    if channels == 1 or len(x) < channels:
        x = np.repeat(x.mean(axis=0, keepdims=True), channels, axis=0)
    return np.ascontiguousarray(x[:channels])


def probe(path: Path, member: Member | None = None) -> tuple[int, int] | None:
    """Samples per channel and rate in Hz by a recording's header; None where that is unreadable or absurd."""
    try:
        with opened(path, member) as file:
            samples, rate = int(file.frames), int(file.samplerate)
    except AudioError:
        return None
    return (samples, rate) if 0 <= samples < 2**62 and MIN_RATE <= rate <= MAX_RATE else None


def probe_all(items: Sequence[tuple[Path, Member | None]]) -> list[tuple[int, int] | None]:
    """`probe` of many, in order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda item: probe(*item), items))


def name_bad(names: Sequence[str], what: str = "not readable as audio") -> None:
    """Says in the log what was left out, how many, and the first of them by name."""
    for name in names[:_NAMED]:
        log.warning("left out, %s: %s", what, name)
    if names:
        more = f" ({len(names) - _NAMED} more than are named here)" if len(names) > _NAMED else ""
        log.warning("%d left out, %s%s", len(names), what, more)


def audio_files(root: Path) -> list[Path]:
    """All files below a folder that are named like audio, sorted; hidden ones are not recordings."""
    found = []
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        # Corpora are often linked into place, and links may go in circles.
        if (real := os.path.realpath(folder)) in seen:
            below.clear()
            continue
        seen.add(real)
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES:
                found.append(Path(folder, name))
    return sorted(found)


def scan(root: Path) -> list[Clip]:
    """All readable recordings below root, sorted by path; bad ones are counted, named and left out.

    The first folder below the root is the clip's group, its own folder the speaker.

    Raises:
        AudioError: root is no folder, or nothing below it is readable audio.
    """
    if not root.is_dir():
        raise AudioError(f"{root} is not a folder of audio; give one with --data.root.")
    paths = audio_files(root)
    places = [path.relative_to(root).parts[:-1] for path in paths]
    return described(
        paths,
        groups=[place[0] if place else "" for place in places],
        speakers=[str(path.parent) for path in paths],
        where=f"below {root}",
    )


def described(
    paths: Sequence[Path], *, groups: Sequence[str], speakers: Sequence[str], where: str
) -> list[Clip]:
    """The readable ones of `paths` as whole clips; the others are counted, named in the log and left out.

    Raises:
        AudioError: none is readable; `where` says in the message where they were looked for.
    """
    clips, bad = [], []
    found = probe_all([(path, None) for path in paths])
    for path, group, speaker, size in zip(paths, groups, speakers, found, strict=True):
        if size is None:
            bad.append(str(path))
        elif size[0] > 0:
            clips.append(Clip(path, *size, group, speaker))
    name_bad(bad)
    return not_empty(clips, where)


def not_empty(clips: list[Clip], where: str) -> list[Clip]:
    """The clips, and in the log how many; AudioError when there are none."""
    if not clips:
        raise AudioError(f"No readable audio was found {where}: check the path.")
    log.info("%d recordings, %.2f h %s", len(clips), sum(clip.seconds for clip in clips) / 3600, where)
    return clips
