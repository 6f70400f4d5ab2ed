"""Public speech corpora in the folders that torchaudio knows: it downloads and lists, soundfile reads.

Each function gives the corpus's readable recordings with their speakers. Raises ConfigError for a part that
the corpus does not have, AudioError where the corpus is not there, not whole, or cannot be downloaded.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from torchaudio.datasets import (  # type: ignore[import-untyped]
    LIBRISPEECH,
    LIBRITTS,
    LJSPEECH,
    VCTK_092,
)

from codec.errors import AudioError, ConfigError
from codec.training.data.clips import Clip, described

Subset = Literal[
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
]


def librispeech(root: Path, subsets: Sequence[Subset], download: bool = False) -> list[Clip]:
    """LibriSpeech (16 kHz) in `root/LibriSpeech/SUBSET`."""
    paths, speakers = [], []
    for subset in _checked(subsets):
        with _corpus("LibriSpeech", root, download):
            corpus = LIBRISPEECH(root, subset, download=download)
            for i in range(len(corpus)):
                path, _, _, speaker, _, _ = corpus.get_metadata(i)
                paths.append(root / "LibriSpeech" / path)
                speakers.append(str(speaker))
    return described(paths, groups=["librispeech"] * len(paths), speakers=speakers, where=f"in {root}")


def libritts(root: Path, subsets: Sequence[Subset], download: bool = False) -> list[Clip]:
    """LibriTTS (24 kHz) in `root/LibriTTS/SUBSET`."""
    paths, speakers = [], []
    for subset in _checked(subsets):
        with _corpus("LibriTTS", root, download):
            corpus = LIBRITTS(root, subset, download=download)
            for name in corpus._walker:  # torchaudio has no get_metadata here
                speaker, chapter = name.split("_")[:2]
                paths.append(root / "LibriTTS" / subset / speaker / chapter / f"{name}.wav")
                speakers.append(speaker)
    return described(paths, groups=["libritts"] * len(paths), speakers=speakers, where=f"in {root}")


def ljspeech(root: Path, download: bool = False) -> list[Clip]:
    """LJSpeech 1.1 (22.05 kHz, one speaker) in `root/LJSpeech-1.1`, in the corpus's order."""
    with _corpus("LJSpeech", root, download):
        corpus = LJSPEECH(root, download=download)
        paths = [root / "LJSpeech-1.1" / "wavs" / f"{row[0]}.wav" for row in corpus._flist if row]
    same = ["ljspeech"] * len(paths)
    return described(paths, groups=same, speakers=same, where=f"in {root}")


def vctk(root: Path, mic: Literal["mic1", "mic2"] = "mic2", download: bool = False) -> list[Clip]:
    """VCTK 0.92 (48 kHz) in `root/VCTK-Corpus-0.92`, as one of its two microphones heard it."""
    if mic not in ("mic1", "mic2"):
        raise ConfigError(f"VCTK has no microphone {mic!r}: choose mic1 or mic2.")
    folder = root / "VCTK-Corpus-0.92" / "wav48_silence_trimmed"
    with _corpus("VCTK", root, download):
        corpus = VCTK_092(str(root), mic_id=mic, download=download)
        ids = [(name[0], "_".join(name)) for name in corpus._sample_ids]
    return described(
        [folder / speaker / f"{name}_{mic}.flac" for speaker, name in ids],
        groups=["vctk"] * len(ids),
        speakers=[speaker for speaker, _ in ids],
        where=f"in {root}",
    )


def _checked(subsets: Sequence[Subset]) -> Sequence[Subset]:
    for subset in subsets:
        if subset not in get_args(Subset):
            raise ConfigError(f"There is no part {subset!r}: choose from {', '.join(get_args(Subset))}.")
    return subsets


@contextmanager
def _corpus(name: str, root: Path, download: bool) -> Iterator[None]:
    try:
        if download:
            root.mkdir(parents=True, exist_ok=True)
        yield
    except FileNotFoundError as error:
        missing = f": {error.filename} is missing" if error.filename else ""
        raise AudioError(f"{name} in {root} is not whole{missing}; unpack it again.") from error
    except (RuntimeError, OSError, ValueError, csv.Error, EOFError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise AudioError(
            f"{name} cannot be used from {root} ({reason}): give the folder that holds it, "
            f"or --data.download=true to fetch it."
        ) from error
