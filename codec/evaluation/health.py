"""How well a model uses its codebooks, from the codes of many recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codec.evaluation.context import information
from codec.evaluation.probe import Probe
from codec.evaluation.results import Health, StageHealth

_MOST_FRAMES = 2_000_000


class HealthCheck:
    """Collects the probes of one model; memory is bounded, since frames after the first two million are left
    out.

    Args:
        system: the model's name in the report. codebook_sizes: entries of each codebook.
    """

    def __init__(self, system: str, codebook_sizes: Sequence[int]) -> None:
        self._system = system
        self._sizes = tuple(codebook_sizes)
        self._codes: list[np.ndarray] = []
        self._frames = 0
        self._left_out = 0
        self._stable = np.zeros((3, len(self._sizes)))
        self._compared = np.zeros(3)

    def add(self, found: Probe) -> None:
        self._stable += found.stable
        self._compared += found.compared
        for row in found.codes:
            if self._frames >= _MOST_FRAMES:
                self._left_out += row.shape[1]
            elif row.shape[1]:
                self._codes.append(row)
                self._frames += row.shape[1]

    def health(self) -> Health:
        """The figures of all that was added; shares and entropies are NaN if that was nothing."""
        sequences = [row.astype(np.int64) for row in self._codes]
        paths = distinct_paths(sequences, len(self._sizes))
        stages = []
        for k, size in enumerate(self._sizes):
            of_stage = [row[k] for row in sequences]
            counts = np.bincount(np.concatenate([*of_stage, np.zeros(0, np.int64)]), minlength=size)
            plain = entropy(counts)
            before = [(x[:-1], x[1:]) for x in of_stage]
            earlier = [(row[k - 1], row[k]) for row in sequences] if k else []
            with np.errstate(invalid="ignore", divide="ignore"):
                shift, gain, noise = (self._stable[:, k] / self._compared).tolist()
            stages.append(
                StageHealth(
                    stage=k + 1,
                    size=size,
                    used=int((counts > 0).sum()),
                    dead=int((counts == 0).sum()),
                    perplexity=2**plain,
                    entropy=plain,
                    gini=gini(counts),
                    entropy_given_previous_frame=max(0.0, plain - information(before, size)),
                    entropy_given_earlier_stage=max(0.0, plain - information(earlier, size)),
                    paths=paths[k],
                    stable_shift=shift,
                    stable_gain=gain,
                    stable_noise=noise,
                )
            )
        return Health(self._system, self._frames, tuple(stages), self._note())

    def _note(self) -> str:
        bias = max(self._sizes, default=0) / max(self._frames, 1) / 2 / np.log(2)
        text = (
            f"From {self._frames} frames. Entropies, in bits, are those of the observed shares, too low by "
            f"up to {bias:.2f} bits for want of frames. Conditional ones are lower by what a predictor gains "
            "on frames that it has not seen: less than there is to gain, the more so the fewer frames. "
            "Entries that are dead here may be used elsewhere."
        )
        return f"{text} {self._left_out} further frames were left out." if self._left_out else text


def entropy(counts: np.ndarray) -> float:
    """Entropy in bits of the shares that counts `[entries]` are; NaN without any."""
    total = counts.sum()
    if not total:
        return float("nan")
    share = counts[counts > 0] / total
    return float(-(share * np.log2(share)).sum()) + 0.0


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of counts `[entries]`: 0 if all are used alike, near 1 if few are; NaN if none."""
    total, n = counts.sum(), len(counts)
    if not total:
        return float("nan")
    return float(2 * (np.arange(1, n + 1) * np.sort(counts)).sum() / (n * total) - (n + 1) / n)


def distinct_paths(sequences: Sequence[np.ndarray], depth: int) -> list[int]:
    """How many different beginnings (c_1, ..., c_k) the frames of codes `[codebooks, frames]` have, for k up
    to depth.

    An hourglass is a number that stays low over the middle stages (Kuai et al. 2024, arXiv 2407.21488).
    """
    if not sequences:
        return [0] * depth
    codes = np.concatenate(sequences, axis=1)
    path = np.zeros(codes.shape[1], dtype=np.int64)
    found = []
    for stage in codes[:depth]:
        # Paths so far are numbered from 0, and there are fewer than frames, so the product cannot overflow.
        _, path = np.unique(path * (int(stage.max()) + 1) + stage, return_inverse=True)
        found.append(int(path.max()) + 1)
    return found
