"""Smaller codebooks out of a model's own (`codec.quantize.rates`), as arithmetic that needs no PyTorch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Assignment = NDArray[np.uint16]
"""For each entry of a codebook the entry of the smaller one that it became part of, `[size]`."""

# An entry that was never used counts for this many uses: it must not decide anything, but belong somewhere.
UNUSED = 0.1


def merged(codebook: np.ndarray, usage: np.ndarray, assignment: Assignment) -> np.ndarray:
    """The smaller codebook: means of the entries `[n, dim]` of each cluster, weighted by usage `[n]`.

    Computed in float64 in the order of the entries, so that it is the same everywhere; float64.
    """
    x, weights = codebook.astype(np.float64), np.maximum(usage.astype(np.float64), UNUSED)
    size = int(assignment.max()) + 1
    sums, total = np.zeros((size, x.shape[1])), np.zeros(size)
    np.add.at(sums, assignment, x * weights[:, None])
    np.add.at(total, assignment, weights)
    return sums / total[:, None]
