"""FORMAT.md, "Entropy coding 1", in Python's whole numbers: slow, and written from the specification."""

from __future__ import annotations

from fractions import Fraction

from codec.tokenfile import Tables


def encoded(tables: Tables, codes: list[list[list[int]]]) -> list[bytes]:
    """The layers of codes[channel][codebook][frame], before zeros fill them up."""
    channels, stages, frames = len(codes), len(codes[0]), len(codes[0][0])
    layers = []
    for k in range(stages):
        intervals = []
        for t in range(frames):
            for channel in range(channels):
                f = frequencies(tables, codes[channel], k, t)
                code = codes[channel][k][t]
                intervals.append((sum(f[:code]), f[code]))
        layers.append(range_coded(intervals))
    return layers


def range_coded(intervals: list[tuple[int, int]]) -> bytes:
    """The bytes of codes, each (what is below it, its frequency) of 2^24; low is kept whole."""
    low, width, size = 0, (1 << 64) - 1, 8
    for below, frequency in intervals:
        step = width >> 24
        low += step * below
        width = step * frequency
        if width < 1 << 32:
            low, width, size = low << 32, width << 32, size + 4
    for dropped in range(size, -1, -1):
        number = -(-low >> 8 * dropped) << 8 * dropped
        if low <= number < low + width:
            return number.to_bytes(size, "big")[: size - dropped].rstrip(b"\0")
    raise AssertionError


def frequencies(tables: Tables, codes: list[list[int]], k: int, t: int) -> list[int]:
    """The frequencies of the codes of stage k in frame t, from codes[codebook][frame] before it."""
    width = tables.embedding.shape[2]

    def u(stage: int, frame: int) -> list[int]:
        if frame < 0:
            return [0] * width
        rows = [tables.embedding[i][codes[i][frame]].tolist() for i in range(stage + 1)]
        return [sum(column) for column in zip(*rows, strict=True)] if rows else [0] * width

    x, end = list(u(k - 1, t)), t
    for span in tables.spans:
        window = [u(k, frame) for frame in range(end - span, end)]
        x += [sum(column) // span for column in zip(*window, strict=True)]
        end -= span
    x = [max(-255, min(255, number)) for number in x]
    x = _layer(tables.hidden, k, x, (0, 255))
    x = _layer(tables.inner, k, x, (-255, 255))
    z = _layer(tables.output, k, x, (-(1 << 30), 1 << 30))[: tables.codebook_sizes[k]]
    p = [power(min(max(z) - number, 1280)) for number in z]
    free = (1 << 24) - len(p)
    r = (free << 24) // sum(p)
    f = [1 + (number * r >> 24) for number in p]
    f[0] += (1 << 24) - sum(f)
    return f


def power(d: int) -> int:
    """2^(20 - d / 64) to the nearest whole number, 0 for d = 1280."""
    if d == 1280:
        return 0
    # n is the nearest if (n - 1/2)^64 < 2^(1280 - d) < (n + 1/2)^64; they are never equal.
    wanted = Fraction(2) ** (1280 - d)
    low, high = 0, 1 << 21
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (middle - Fraction(1, 2)) ** 64 < wanted else (low, middle)
    return low


def _layer(layer: object, k: int, x: list[int], bounds: tuple[int, int]) -> list[int]:
    weight, bias, shift = (getattr(layer, name)[k].tolist() for name in ("weight", "bias", "shift"))
    sums = [sum(a * row[j] for a, row in zip(x, weight, strict=True)) + bias[j] for j in range(len(bias))]
    return [max(bounds[0], min(bounds[1], total >> s)) for total, s in zip(sums, shift, strict=True)]
