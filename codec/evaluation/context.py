"""What a context tells about a code, in bits, from few observations: what a predictor gains on unseen data.

With K entries there are K^2 pairs, far more than frames, so the entropy of the observed pairs would be far
too low and every codebook would seem predictable. A predictor that must do without the frames that it is
tested on errs only to the other side: what it gains is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The last one is so strong that the context does not count.
_STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 10_000.0, 1e9)
_FOLDS = 5

Pairs = tuple[np.ndarray, np.ndarray]


def information(sequences: Sequence[Pairs], size: int) -> float:
    """A lower estimate, in bits, of the mutual information of codes and their contexts; 0 for very few pairs.

    Each fifth of the pairs is predicted from the other four by p(x | c) = (n(c, x) + s p(x)) / (n(c) + s), a
    Dirichlet prior around the share of x (MacKay and Peto 1995), of the strength s, among nine, that suits
    best. The result is by how much that beats p(x), per code.

    Args:
        sequences: contexts and codes, int64 `[pairs]` each, of every recording.
        size: entries that a code may have.
    """
    contexts, codes = (
        np.concatenate([np.zeros(0, np.int64), *(pair[part] for pair in sequences)]) for part in (0, 1)
    )
    if len(codes) < _FOLDS:
        return 0.0
    base = int(max(size, contexts.max() + 1))
    bits = np.zeros(len(_STRENGTHS))
    fold = np.arange(len(codes)) * _FOLDS // len(codes)
    for number in range(_FOLDS):
        told = fold == number
        bits += _bits((contexts[~told], codes[~told]), (contexts[told], codes[told]), base)
    return float((bits[-1] - bits.min()) / len(codes))


def _bits(learnt: Pairs, told: Pairs, size: int) -> np.ndarray:
    """Bits that the told codes cost, for each strength."""
    contexts, codes = learnt
    single = np.bincount(codes, minlength=size) + 0.5
    share = (single / single.sum())[told[1]]
    seen = np.bincount(contexts, minlength=size)[told[0]]
    pairs, counts = np.unique(contexts * size + codes, return_counts=True)
    wanted = told[0] * size + told[1]
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    together = np.where(pairs[place] == wanted, counts[place], 0)
    return np.array([-np.log2((together + s * share) / (seen + s)).sum() for s in _STRENGTHS])
