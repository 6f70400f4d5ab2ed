"""Bits a code that counting gets to, to hold a language model against: contexts of no code and of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def order_0(train: Sequence[np.ndarray], test: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Bits a code of each codebook, `[codebooks]`: every code of test by how often it is in train.

    train, test: codes `[codebooks, frames]` of recordings. Counts start at a half, so that none is 0.
    """
    bits = []
    for k, size in enumerate(sizes):
        p = _counts(train, k, size) + 0.5
        p /= p.sum()
        bits.append(-np.log2(p[np.concatenate([codes[k] for codes in test])]).mean())
    return np.array(bits)


def order_1(
    train: Sequence[np.ndarray], test: Sequence[np.ndarray], sizes: Sequence[int], context: str
) -> np.ndarray:
    """As `order_0`, but by how often a code follows the one in its context.

    context: "time" is the codebook's code of the frame before, "depth" the same frame's coarser code. Where
    there is none, or in train it was rare, the frequencies of order 0 count (Witten and Bell 1991, method C).
    """
    bits = []
    for k, size in enumerate(sizes):
        other = k if context == "time" else k - 1
        pairs = np.zeros((sizes[other] if other >= 0 else 1, size))
        for codes in train:
            np.add.at(pairs, _pair(codes, k, context), 1)
        base = _counts(train, k, size) + 0.5
        base /= base.sum()
        total, kinds = pairs.sum(1), (pairs > 0).sum(1)
        found, count = 0.0, 0
        for codes in test:
            before, now = _pair(codes, k, context)
            seen = total[before] + kinds[before]
            p = (pairs[before, now] + kinds[before] * base[now]) / np.maximum(seen, 1)
            p = np.where(seen > 0, p, base[now])
            first = codes[k, : codes.shape[1] - len(now)]
            found -= np.log2(p).sum() + np.log2(base[first]).sum()
            count += codes.shape[1]
        bits.append(found / count)
    return np.array(bits)


def _counts(recordings: Sequence[np.ndarray], k: int, size: int) -> np.ndarray:
    return np.bincount(np.concatenate([codes[k] for codes in recordings]), minlength=size).astype(float)


def _pair(codes: np.ndarray, k: int, context: str) -> tuple[np.ndarray, np.ndarray]:
    """Contexts and codes of a recording, where there is a context."""
    if context == "time":
        return codes[k, :-1], codes[k, 1:]
    return (codes[k - 1] if k else np.zeros_like(codes[0])), codes[k]
