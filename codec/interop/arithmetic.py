"""EnCodec's arithmetic coder (Défossez et al. 2022, section 3.3), bit for bit as in the `encodec` package.

The interval [low, high] holds max_bit + 1 bits that are still open. Before each symbol it is widened by new
bits until it spans 2^24 values; the symbol then narrows it, and leading bits that both ends share are done.
Bounds are computed in float64, as there, so that the same symbols give the same bytes.
"""

from __future__ import annotations

import math

import numpy as np

from codec.tokenfile.source import Damaged, Ended

RANGE_BITS = 24
_TOTAL = 1 << RANGE_BITS
_LEAST = 2  # every symbol keeps this much of the range, however unlikely
_ROUNDING = 1e-8


def cumulative(probabilities: np.ndarray) -> np.ndarray:
    """Upper ends int64 `[size]` of the symbols' shares of 2^24, of float32 probabilities `[size]`.

    Probabilities are floored to multiples of 1e-8 in float32, which hides some of the differences between
    machines but not all of them.
    """
    p = probabilities.astype(np.float32, copy=False)
    p = np.floor(p / np.float32(_ROUNDING)) * np.float32(_ROUNDING)
    share = np.float32((1 - _LEAST * len(p) / _TOTAL) * _TOTAL)
    ends: np.ndarray = np.cumsum(np.floor(share * p).astype(np.int64) + _LEAST)
    return ends


class _Interval:
    """What encoder and decoder have in common."""

    def __init__(self) -> None:
        self.low = self.high = 0
        self.max_bit = -1

    @property
    def is_narrow(self) -> bool:
        """Whether another bit is needed before the next symbol."""
        return self.high - self.low + 1 < _TOTAL

    def widen(self) -> None:
        self.low, self.high = 2 * self.low, 2 * self.high + 1
        self.max_bit += 1

    @property
    def scale(self) -> float:
        return (self.high - self.low + 1) / _TOTAL

    def narrow(self, below: int, end: int) -> None:
        """To the share from `below` to `end` (exclusive) of 2^24."""
        scale, low = self.scale, self.low
        self.low = low + math.ceil(below * scale)
        self.high = low + math.floor((end - 1) * scale)

    def shared_bit(self) -> int | None:
        """Takes the leading bit off, if both ends have the same."""
        if self.max_bit < 0 or (bit := self.low >> self.max_bit) != self.high >> self.max_bit:
            return None
        self.low -= bit << self.max_bit
        self.high -= bit << self.max_bit
        self.max_bit -= 1
        return bit


class ArithmeticEncoder:
    """Symbols to bits."""

    def __init__(self) -> None:
        self._interval = _Interval()
        self._bits = bytearray()

    def push(self, symbol: int, ends: np.ndarray) -> None:
        """Append a symbol whose distribution is `cumulative`."""
        interval = self._interval
        while interval.is_narrow:
            interval.widen()
        interval.narrow(int(ends[symbol - 1]) if symbol else 0, int(ends[symbol]))
        while (bit := interval.shared_bit()) is not None:
            self._bits.append(bit)

    def finish(self) -> bytes:
        """All symbols as bytes, the last one filled up with zero bits."""
        interval = self._interval
        rest = [interval.low >> shift & 1 for shift in range(interval.max_bit, -1, -1)]
        return np.packbits(np.frombuffer(self._bits + bytes(rest), np.uint8), bitorder="little").tobytes()


class ArithmeticDecoder:
    """Bits to symbols; the decoder reads exactly as many bits as the encoder wrote."""

    def __init__(self, data: bytes, start: int) -> None:
        """The first bit is the lowest of the byte `start` bytes into data."""
        self._data, self._at = data, 8 * start
        self._interval = _Interval()
        self._current = 0

    def pull(self, ends: np.ndarray) -> int:
        """The next symbol, of the distribution it was pushed with.

        Raises:
            Ended: the bits are used up.
            Damaged: the bits stand for no symbol of this distribution.
        """
        interval = self._interval
        while interval.is_narrow:
            interval.widen()
            self._current = 2 * self._current + self._bit()
        scale, at = interval.scale, self._current - interval.low
        # Symbol s begins at ceil(ends[s - 1] * scale); the first one at 0.
        symbol = int(np.searchsorted(np.ceil(ends[:-1] * scale), at, side="right"))
        below = int(ends[symbol - 1]) if symbol else 0
        interval.narrow(below, int(ends[symbol]))
        if not interval.low <= self._current <= interval.high:
            raise Damaged
        shift = interval.max_bit
        while (bit := interval.shared_bit()) is not None:
            self._current -= bit << shift
            shift -= 1
        return symbol

    def end(self) -> int:
        """Where the byte after the last one begins, whose rest must be zero bits; raises Damaged."""
        byte, used = divmod(self._at, 8)
        if used and self._data[byte] >> used:
            raise Damaged
        return byte + bool(used)

    def _bit(self) -> int:
        byte, shift = divmod(self._at, 8)
        if byte >= len(self._data):
            raise Ended
        self._at += 1
        return self._data[byte] >> shift & 1
