"""Data modules of public corpora, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from codec.errors import AudioError, ConfigError
from codec.training.data import corpora
from codec.training.data.augment import AugmentConfig
from codec.training.data.clips import Clip
from codec.training.data.corpora import Subset
from codec.training.data.module import AudioData
from codec.training.data.segments import SegmentConfig


class LibriSpeech(AudioData):
    """LibriSpeech, 16 kHz.

    Args:
        root: folder that holds `LibriSpeech/`.
        subset: one or several of its parts, for training.
        valid_subset: the part for validation.
        download: fetch what is not there (6 GB for train-clean-100).
    """

    def __init__(
        self,
        root: str,
        subset: Subset | list[Subset] = "train-clean-100",
        valid_subset: Subset = "dev-clean",
        download: bool = False,
        sample_rate: int = 16000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        self.root, self.subset, self.valid_subset = root, _several(subset), valid_subset
        self.download = download

    def prepare_data(self) -> None:
        """Fetches the corpus, in one process of each machine."""
        if self.download:
            corpora.librispeech(Path(self.root), [*self.subset, self.valid_subset], download=True)

    def find(self) -> tuple[list[Clip], list[Clip]]:
        root = Path(self.root)
        return corpora.librispeech(root, self.subset), corpora.librispeech(root, [self.valid_subset])


class LibriTTS(AudioData):
    """LibriTTS, 24 kHz.

    Args:
        root: folder that holds `LibriTTS/`.
        subset: one or several of its parts, for training.
        valid_subset: the part for validation.
        download: fetch what is not there (8 GB for train-clean-100).
    """

    def __init__(
        self,
        root: str,
        subset: Subset | list[Subset] = "train-clean-100",
        valid_subset: Subset = "dev-clean",
        download: bool = False,
        sample_rate: int = 24000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        self.root, self.subset, self.valid_subset = root, _several(subset), valid_subset
        self.download = download

    def prepare_data(self) -> None:
        """Fetches the corpus, in one process of each machine."""
        if self.download:
            corpora.libritts(Path(self.root), [*self.subset, self.valid_subset], download=True)

    def find(self) -> tuple[list[Clip], list[Clip]]:
        root = Path(self.root)
        return corpora.libritts(root, self.subset), corpora.libritts(root, [self.valid_subset])


class LJSpeech(AudioData):
    """LJSpeech 1.1, 22.05 kHz, one speaker; the last utterances, of another book, are held out.

    Args:
        root: folder that holds `LJSpeech-1.1/`.
        valid_share: share of the utterances that are for validation.
        download: fetch it if it is not there (2.6 GB).
    """

    def __init__(
        self,
        root: str,
        valid_share: float = 0.02,
        download: bool = False,
        sample_rate: int = 22050,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        if not 0 <= valid_share < 1:
            raise ConfigError(f"data.valid_share is {valid_share}: use a share from 0 to below 1.")
        self.root, self.valid_share, self.download = root, valid_share, download

    def prepare_data(self) -> None:
        """Fetches the corpus, in one process of each machine."""
        if self.download:
            corpora.ljspeech(Path(self.root), download=True)

    def find(self) -> tuple[list[Clip], list[Clip]]:
        clips = corpora.ljspeech(Path(self.root))
        kept = len(clips) - round(self.valid_share * len(clips))
        return clips[:kept], clips[kept:]


class VCTK(AudioData):
    """VCTK 0.92, 48 kHz, 110 speakers.

    Args:
        root: folder that holds `VCTK-Corpus-0.92/`.
        mic: which of the two microphones, mic1 or mic2.
        valid_speakers: who is only for validation.
        download: fetch it if it is not there (11 GB).
    """

    def __init__(
        self,
        root: str,
        mic: Literal["mic1", "mic2"] = "mic2",
        valid_speakers: tuple[str, ...] = ("p225", "p226", "p227", "p228"),
        download: bool = False,
        sample_rate: int = 48000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        self.root, self.mic, self.valid_speakers, self.download = root, mic, valid_speakers, download

    def prepare_data(self) -> None:
        """Fetches the corpus, in one process of each machine."""
        if self.download:
            corpora.vctk(Path(self.root), self.mic, download=True)

    def find(self) -> tuple[list[Clip], list[Clip]]:
        clips = corpora.vctk(Path(self.root), self.mic)
        out = set(self.valid_speakers)
        missing = sorted(out - {clip.speaker for clip in clips})
        if missing:
            raise AudioError(f"VCTK in {self.root} has no speaker {missing[0]} (data.valid_speakers).")
        return [c for c in clips if c.speaker not in out], [c for c in clips if c.speaker in out]


def _several(subset: Subset | list[Subset]) -> list[Subset]:
    return [subset] if isinstance(subset, str) else list(subset)
