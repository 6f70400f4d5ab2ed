"""What all patterns have in common: special ids, and offline calls that are streams fed with one chunk."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from codec.errors import ConfigError
from codec.sequence.vocabulary import BOS, EOS, PAD, Ids, Vocabulary
from codec.tokens import Codes

__all__ = ["CodeStream", "IdStream", "Ids", "Pattern"]


class IdStream(ABC):
    """Frames in, ids out as soon as they are known; without BOS and EOS."""

    @abstractmethod
    def push(self, codes: np.ndarray) -> Ids:
        """Takes codes `[codebooks, frames]`; returns the ids that they complete."""

    @abstractmethod
    def flush(self) -> Ids:
        """Ends the recording; returns the last ids."""


class CodeStream(ABC):
    """Ids in, frames out as soon as they are whole; without BOS and EOS."""

    @abstractmethod
    def push(self, ids: Ids) -> Codes:
        """Takes ids; returns the codes uint16 `[codebooks, frames]` that they complete."""

    @abstractmethod
    def flush(self, partial: bool = False) -> Codes:
        """Ends the sequence; returns the last frames.

        partial: drop what is not whole, as where a model stopped; else that raises ConfigError.
        """


class Pattern(ABC):
    """A way to put codes `[codebooks, frames]` into ids: `[n]`, or `[n, codebooks]` in steps."""

    vocabulary: Vocabulary

    @property
    def codebooks(self) -> int:
        return self.vocabulary.codebooks

    @property
    @abstractmethod
    def step(self) -> tuple[int, ...]:
        """The shape of one step of ids: () or (codebooks,)."""

    @abstractmethod
    def id_stream(self) -> IdStream:
        """Encodes a recording whose frames arrive over time."""

    @abstractmethod
    def code_stream(self) -> CodeStream:
        """Decodes ids that arrive over time."""

    @abstractmethod
    def length(self, frames: int) -> int:
        """Steps of ids that so many frames have, without BOS and EOS."""

    def encode(self, codes: np.ndarray, *, bos: bool = True, eos: bool = True) -> Ids:
        """Ids int64 `[n, *step]` of codes `[codebooks, frames]`; raises ConfigError when they do not fit."""
        stream = self.id_stream()
        parts = [stream.push(codes), stream.flush()]
        ends = [np.full((1, *self.step), special, np.int64) for special in (BOS, EOS)]
        return np.concatenate([*ends[:1][: int(bos)], *parts, *ends[1:][: int(eos)]])

    def decode(self, ids: Ids, *, partial: bool = False) -> Codes:
        """Codes uint16 `[codebooks, frames]` of ids, with BOS, EOS and padding after it or without.

        partial: drop a last frame that is not whole, as where a model stopped.

        Raises:
            ConfigError: ids that no codes have: out of turn, out of range, or ending within a frame.
        """
        stream = self.code_stream()
        first = stream.push(self.strip(ids))
        return np.concatenate([first, stream.flush(partial)], axis=1)

    def strip(self, ids: Ids) -> Ids:
        """The ids without BOS, EOS and what pads a batch; raises ConfigError when they are out of place."""
        array = np.asarray(ids)
        if array.shape[1:] != self.step or not np.issubdtype(array.dtype, np.integer):
            shape = ", ".join(("n", *map(str, self.step)))
            raise ConfigError(f"Ids must be integers [{shape}], not {array.dtype} of shape {array.shape}.")
        array = array.astype(np.int64)
        rows = array.reshape(len(array), math.prod(self.step))
        if len(rows) and (rows[0] == BOS).all():
            array, rows = array[1:], rows[1:]
        ends = np.flatnonzero((rows == EOS).all(axis=1))
        if len(ends):
            if (rows[ends[0] + 1 :] != PAD).any():
                raise ConfigError("After EOS there can only be padding.")
            array = array[: ends[0]]
        return array
