"""How much codes tell of something else: pitch, energy, phone-like units (Eaton 2024).

A caveat that belongs to every figure: information is not meaning. Codes that tell much of the energy may do
so because loud frames are unlike each other, and a codebook of many entries tells a little of anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codec.errors import ConfigError


@dataclass(frozen=True)
class Shared:
    """Mutual information between codes and a quantity, in bits.

    bits: above chance, that is the plain figure less its mean over shuffled frames, which is the bias of
    small samples. chance: that mean. most: entropy of the quantity, which no code can tell more than.
    """

    bits: float
    chance: float
    most: float

    @property
    def share(self) -> float:
        """Of what there is to tell."""
        return self.bits / self.most if self.most > 0 else 0.0


def mutual_information(
    codes: np.ndarray, quantity: np.ndarray, *, bins: int = 8, shuffles: int = 5, seed: int = 0
) -> Shared:
    """Between codes `[frames]` and a quantity `[frames]`; frames where it is NaN (no pitch) are left out.

    A float quantity is cut into bins of equal numbers of frames; integers (units) are taken as they are.

    Raises:
        ConfigError: arrays of different lengths, or no frames.
    """
    if codes.shape != quantity.shape or codes.ndim != 1:
        raise ConfigError("Codes and the quantity must be arrays [frames] of the same length.")
    known = ~np.isnan(quantity) if quantity.dtype.kind == "f" else np.ones(len(codes), bool)
    if not known.any():
        raise ConfigError("There is no frame at which the quantity is known.")
    _, code = np.unique(codes[known], return_inverse=True)
    if quantity.dtype.kind == "f":
        values = quantity[known]
        edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
        unit = np.searchsorted(edges, values, side="right")
    else:
        _, unit = np.unique(quantity[known], return_inverse=True)
    rng = np.random.default_rng(seed)
    plain = _information(code, unit)
    chance = float(np.mean([_information(code, rng.permutation(unit)) for _ in range(shuffles)]))
    return Shared(plain - chance, chance, _entropy(np.bincount(unit)))


def _information(a: np.ndarray, b: np.ndarray) -> float:
    joint = np.bincount(a * (int(b.max()) + 1) + b)
    return _entropy(np.bincount(a)) + _entropy(np.bincount(b)) - _entropy(joint)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
