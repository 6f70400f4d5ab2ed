"""Token ids: which number stands for which code of which codebook, and three that stand for none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.errors import ConfigError
from codec.tokens import MAX_CODEBOOK_SIZE, MAX_CODEBOOKS, Codes, check_int

Ids = NDArray[np.int64]

PAD, BOS, EOS = 0, 1, 2
SPECIAL = 3


@dataclass(frozen=True)
class Vocabulary:
    """Ids 0, 1 and 2 are PAD, BOS and EOS; from 3 on they are codes.

    codebook_sizes: entries of each codebook, the coarsest first.
    shared: all codebooks use the same ids, for models with an embedding table of its own for each; else each
        codebook has a range of its own, one after the other.
    """

    codebook_sizes: tuple[int, ...]
    shared: bool = False

    def __post_init__(self) -> None:
        check_int("the number of codebooks", len(self.codebook_sizes), 1, MAX_CODEBOOKS)
        for size in self.codebook_sizes:
            check_int("a codebook size", size, 2, MAX_CODEBOOK_SIZE)
        object.__setattr__(self, "codebook_sizes", tuple(int(size) for size in self.codebook_sizes))

    @property
    def codebooks(self) -> int:
        return len(self.codebook_sizes)

    @property
    def size(self) -> int:
        """All ids are below it."""
        sizes = self.codebook_sizes
        return SPECIAL + (max(sizes) if self.shared else sum(sizes))

    @property
    def offsets(self) -> Ids:
        """The id of each codebook's code 0, `[codebooks]`."""
        if self.shared:
            return np.full(self.codebooks, SPECIAL, np.int64)
        return SPECIAL + np.cumsum([0, *self.codebook_sizes[:-1]], dtype=np.int64)

    def to_ids(self, codes: np.ndarray) -> Ids:
        """Ids `[codebooks, frames]` of codes of that shape; raises ConfigError when they do not fit."""
        array = np.asarray(codes)
        if array.ndim != 2 or len(array) != self.codebooks or not np.issubdtype(array.dtype, np.integer):
            raise ConfigError(
                f"Codes must be integers [{self.codebooks} codebooks, frames], not {array.dtype} of shape "
                f"{array.shape}: for several channels, encode each by itself."
            )
        wide = array.astype(np.int64)
        if ((wide < 0) | (wide >= np.array(self.codebook_sizes)[:, None])).any():
            raise ConfigError("The codes use entries that the codebooks of this vocabulary do not have.")
        return wide + self.offsets[:, None]

    def to_codes(self, ids: Ids, codebooks: Ids) -> Codes:
        """Codes uint16 of ids, each of the codebook that is named for it; raises ConfigError.

        ids, codebooks: of one shape.
        """
        codes = ids - self.offsets[codebooks]
        wrong = (codes < 0) | (codes >= np.array(self.codebook_sizes)[codebooks])
        if wrong.any():
            place = int(np.flatnonzero(wrong.reshape(-1))[0])
            found, wanted = int(ids.reshape(-1)[place]), int(codebooks.reshape(-1)[place])
            raise ConfigError(f"Id {found} is no code of codebook {wanted}, whose turn it is.")
        return codes.astype(np.uint16)
