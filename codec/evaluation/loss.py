"""What lost packets do to quality: codes are dropped at random, and ways to fill the gaps are compared.

Needs the packages of `codec[eval]`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from codec.codec import Codec
from codec.evaluation import metrics
from codec.tokens import Codes, Tokens

# What the decoder is given for lost frames, from the last codes that arrived (zeros before any) and how many
# were lost; by how it is called in tables.
Fill = Callable[[Codes, int], Codes | None]
FILLS: dict[str, Fill] = {
    "zero codes": lambda last, frames: np.zeros((*last.shape[:2], frames), np.uint16),
    "repeat": lambda last, frames: np.repeat(last[:, :, -1:], frames, axis=2),
    "repeat and fade": lambda last, frames: None,
}


@dataclass(frozen=True)
class Loss:
    """A kind of loss: the share of frames that are lost, in runs of `burst` frames."""

    share: float
    burst: int = 1


@dataclass(frozen=True)
class LossScore:
    """Quality of one recording, or the means of many; pesq_wb and stoi as in `evaluation.metrics`."""

    loss: Loss
    fill: str
    pesq_wb: float
    stoi: float


def lost_frames(frames: int, loss: Loss, rng: np.random.Generator) -> np.ndarray:
    """Which frames are lost, bool `[frames]`: each run of `burst` frames with probability `share`."""
    runs = -(-frames // loss.burst)
    return np.repeat(rng.random(runs) < loss.share, loss.burst)[:frames]


def decode_with_losses(model: Codec, tokens: Tokens, lost: np.ndarray, fill: Fill) -> np.ndarray:
    """Audio float32 `[channels, samples]` of tokens without the frames that are `lost`, bool `[frames]`."""
    decoder = model.stream_decoder(
        sample_rate=tokens.sample_rate,
        channels=tokens.channels,
        skip=tokens.skip,
        n_samples=tokens.n_samples,
        codebook_sizes=tokens.codebook_sizes,
    )
    last: Codes = np.zeros((tokens.channels, tokens.codebooks, 1), np.uint16)
    parts = []
    for codes, frames in _packets(tokens.codes, lost):
        given = fill(last, frames) if codes is None else codes
        last = last if codes is None else codes
        parts.append(decoder.push(given, frames=frames))
    return np.concatenate([*parts, decoder.flush()], axis=1)


def score_losses(
    model: Codec, audio: np.ndarray, sample_rate: int, kbps: float, losses: Sequence[Loss], name: str
) -> list[LossScore]:
    """Every loss with every fill on the first channel of a recording float32 `[channels, samples]`.

    name: of the recording; it alone decides which frames are lost, so that figures can be reproduced.
    """
    x = audio[:1]
    tokens = model.encode(x, sample_rate, kbps=kbps)
    found = []
    for loss in losses:
        seed = [zlib.crc32(name.encode()), round(loss.share * 10_000), loss.burst]
        lost = lost_frames(tokens.frames, loss, np.random.default_rng(seed))
        for label, fill in FILLS.items():
            heard = decode_with_losses(model, tokens, lost, fill)
            found.append(
                LossScore(
                    loss,
                    label,
                    metrics.pesq_wb(x[0], heard[0], sample_rate),
                    metrics.stoi(x[0], heard[0], sample_rate),
                )
            )
            if not lost.any():
                found += [LossScore(loss, other, *_figures(found[-1])) for other in FILLS if other != label]
                break
    return found


def means(scores: Sequence[LossScore]) -> list[LossScore]:
    """The mean over recordings of every loss and fill, in the order in which they first come."""
    groups: dict[tuple[Loss, str], list[tuple[float, float]]] = {}
    for score in scores:
        groups.setdefault((score.loss, score.fill), []).append(_figures(score))
    return [LossScore(*key, *np.nanmean(values, axis=0).tolist()) for key, values in groups.items()]


def _figures(score: LossScore) -> tuple[float, float]:
    return score.pesq_wb, score.stoi


def _packets(codes: Codes, lost: np.ndarray) -> Iterator[tuple[Codes | None, int]]:
    """Runs of frames that arrive, and of frames that do not (None), with their lengths."""
    borders = [0, *(np.flatnonzero(np.diff(lost)) + 1).tolist(), len(lost)]
    for first, last in pairwise(borders):
        if last > first:
            yield None if lost[first] else codes[:, :, first:last], last - first
