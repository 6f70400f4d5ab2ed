"""PyTorch datasets of token ids: random windows of a dataset that `codec tokenize` has made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from codec.errors import ConfigError
from codec.sequence.pattern import Pattern
from codec.sequence.store import TokenStore
from codec.sequence.vocabulary import PAD

IGNORED = -100
"""The label that PyTorch's cross-entropy leaves out."""


class TokenWindows(Dataset[torch.Tensor]):
    """Windows of recordings as ids int64 `[n, *step]`, at random places that differ from epoch to epoch.

    A recording has as many windows as are needed to cover it; each channel counts as a recording. BOS stands
    where a window begins with the recording, EOS where it ends with it. Which window an index gives depends
    on seed, epoch and index alone, whatever the number of loader processes.

    Args:
        pattern: may have fewer codebooks than the dataset: then the first ones are used.
        frames: of a window; None takes whole recordings.
        recordings: numbers of those to use, e.g. of one split; all if not given.

    Raises:
        ConfigError: the pattern's codebooks are not the dataset's, or there is nothing to use.
    """

    def __init__(
        self,
        store: TokenStore,
        pattern: Pattern,
        frames: int | None = None,
        *,
        recordings: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        sizes = pattern.vocabulary.codebook_sizes
        if store.codebook_sizes[: len(sizes)] != sizes:
            raise ConfigError(f"The dataset's codebooks {store.codebook_sizes} do not begin with {sizes}.")
        if frames is not None and frames < 1:
            raise ConfigError(f"Windows of {frames} frames are not possible: ask for at least 1.")
        self._store, self._pattern, self._frames, self._seed, self._epoch = store, pattern, frames, seed, 0
        used = range(len(store)) if recordings is None else recordings
        self._rows = [(i, c) for i in used for c in range(store.recordings[i].shape[0])]
        self._lengths = np.array([store.recordings[i].shape[2] for i, _ in self._rows], np.int64)
        counts = np.ones_like(self._lengths) if frames is None else -(-self._lengths // frames)
        self._ends = np.cumsum(counts)
        if not len(self):
            raise ConfigError("There are no frames to make windows of.")

    def set_epoch(self, epoch: int) -> None:
        """Chooses the windows of an epoch; call it before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> torch.Tensor:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = int(np.searchsorted(self._ends, index, side="right"))
        recording, channel = self._rows[row]
        length = int(self._lengths[row])
        first, last = 0, length
        if self._frames is not None and length > self._frames:
            rng = np.random.default_rng((self._seed, self._epoch, index))
            first = int(rng.integers(0, length - self._frames + 1))
            last = first + self._frames
        codes = self._store.codes(recording, first, last)[channel, : self._pattern.codebooks]
        return torch.from_numpy(self._pattern.encode(codes, bos=first == 0, eos=last == length))


def collate(windows: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch of windows, padded at the end.

    Returns:
        input_ids int64 `[batch, n, *step]`; attention_mask int64 `[batch, n]`, 0 where a window has ended;
        labels as input_ids, IGNORED where there is PAD.
    """
    longest = max(len(window) for window in windows)
    ids = torch.full((len(windows), longest, *windows[0].shape[1:]), PAD, dtype=torch.int64)
    mask = torch.zeros(len(windows), longest, dtype=torch.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(ids == PAD, IGNORED)}
