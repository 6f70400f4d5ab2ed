"""A model's smaller codebooks on disk: `<name>.rates.npz` beside its weights, for bitrates in between."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from codec.errors import ModelError, OutputError
from codec.smaller import Assignment
from codec.variable import Price

if TYPE_CHECKING:
    from codec.quantize import Quantizer

SUFFIX = ".rates.npz"

# Sizes that codebooks of 1024 entries are made smaller to: 6, 7, 8 and 9 bits instead of 10.
SIZES = (64, 128, 256, 512)


@dataclass(frozen=True, eq=False)
class Rates:
    """What makes smaller codebooks of a model's own (`codec.quantize.rates`).

    weights_hash: of the weights that they belong to.
    usage: of the entries of each codebook, float32 `[size]`.
    assignments: for each codebook, by the size of the smaller one.
    prices: for variable bitrates, by rising bitrate; none where the model cannot skip codes.
    """

    weights_hash: str
    usage: Sequence[NDArray[np.float32]]
    assignments: Sequence[Mapping[int, Assignment]]
    prices: tuple[Price, ...] = ()

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """The sizes, rising, that each codebook has besides its own."""
        return [tuple(sorted(found)) for found in self.assignments]

    def quantizer(self, whole: Quantizer, codebooks: int, size: int) -> Quantizer:
        """The first codebooks of the model's quantizer, the last of them with `size` entries."""
        import torch

        from codec.quantize.rates import with_last

        usage = torch.from_numpy(self.usage[codebooks - 1])
        return with_last(whole, codebooks, usage, self.assignments[codebooks - 1][size])


def save(rates: Rates, path: Path) -> None:
    """Writes the file; raises OutputError."""
    from codec.models.store import replace_file

    arrays: dict[str, np.ndarray] = {
        "weights_hash": np.array(rates.weights_hash),
        "prices": np.array(rates.prices, np.float64).reshape(-1, 3),
    }
    for k, (usage, found) in enumerate(zip(rates.usage, rates.assignments, strict=True)):
        arrays[f"usage/{k}"] = usage
        arrays |= {f"assignment/{k}/{size}": part for size, part in found.items()}
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    try:
        replace_file(path, packed.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error


def load(path: Path) -> Rates:
    """What `save` wrote; raises ModelError when it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        usage: list[NDArray[np.float32]] = []
        assignments: list[dict[int, Assignment]] = []
        while f"usage/{len(usage)}" in arrays:
            start = f"assignment/{len(usage)}/"
            found = {int(name[len(start) :]): part for name, part in arrays.items() if name.startswith(start)}
            used = arrays[f"usage/{len(usage)}"].astype(np.float32)
            _check(used, found)
            usage.append(used)
            assignments.append(found)
        table = arrays["prices"] if "prices" in arrays else np.zeros((0, 3))
        _check_prices(table, len(usage))
        prices = tuple(Price(float(kbps), float(price), int(count)) for kbps, price, count in table)
        return Rates(str(arrays["weights_hash"]), usage, assignments, prices)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}, which bitrates in between need, is damaged: {error}.") from error


def beside(weights: Path, weights_hash: str, codebook_sizes: Sequence[int]) -> Rates | None:
    """The file beside a model's weights; None when there is none, or one of other weights.

    Raises:
        ModelError: it is damaged.
    """
    path = weights.with_suffix(SUFFIX)
    if not path.is_file():
        return None
    rates = load(path)
    if rates.weights_hash != weights_hash:
        return None
    if tuple(len(used) for used in rates.usage) != tuple(codebook_sizes):
        raise ModelError(f"{path} is for other codebooks than the model has: make it anew.")
    return rates


def _check_prices(prices: np.ndarray, codebooks: int) -> None:
    if prices.ndim != 2 or prices.shape[1] != 3 or not np.isfinite(prices).all() or (prices <= 0).any():
        raise ValueError("its prices make no sense")
    if (prices[:, 2] > codebooks).any() or (prices[:, 2] % 1 != 0).any():
        raise ValueError("its prices are for other codebooks")
    if (np.diff(prices[:, 0]) <= 0).any() or (np.diff(prices[:, 1]) >= 0).any():
        raise ValueError("its prices do not fall as bitrates rise")


def _check(usage: np.ndarray, found: Mapping[int, Assignment]) -> None:
    if usage.ndim != 1 or not np.isfinite(usage).all() or (usage < 0).any():
        raise ValueError("its usage makes no sense")
    for size, part in found.items():
        fits = part.dtype == np.uint16 and part.shape == usage.shape and 2 <= size < len(usage)
        # Every code in use, and no other. (numpy.unique would cost every start of a program 15 ms.)
        if not fits or part.max() != size - 1 or not np.bincount(part).all():
            raise ValueError(f"its codebook of {size} entries makes no sense")
