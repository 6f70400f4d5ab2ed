"""Small tables with random weights, in which every weight matters, and tokens of the model they are for."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np

from codec import tokenfile
from codec.tokenfile import Tables
from codec.tokenfile.entropy import coder
from codec.tokenfile.entropy.network import network_of
from codec.tokenfile.entropy.tables import Layer
from codec.tokens import Tokens

HASH = "00112233445566ff"
_RUN = 25


def small_tables(
    sizes: tuple[int, ...] = (64, 64, 64, 64),
    spans: tuple[int, ...] = (1, 2, 4),
    *,
    width: int = 6,
    seed: int = 0,
    weights_hash: str = HASH,
) -> Tables:
    """Tables of a model "small"; their numbers come from a generator that stays as it is for ever."""
    numbers = np.random.RandomState(seed)

    def layer(inputs: int, outputs: int, shift: int) -> Layer:
        return Layer(
            numbers.randint(-40, 41, (len(sizes), inputs, outputs)).astype(np.int8),
            numbers.randint(-3000, 3001, (len(sizes), outputs)).astype(np.int32),
            np.full((len(sizes), outputs), shift, np.uint8),
        )

    embedding = numbers.randint(-90, 91, (len(sizes), max(sizes), width)).astype(np.int8)
    return Tables(
        model="small",
        weights_hash=weights_hash,
        codebook_sizes=sizes,
        spans=spans,
        embedding=embedding,
        hidden=layer((1 + len(spans)) * width, 10, 7),
        inner=layer(10, 8, 6),
        output=layer(8, max(sizes), 4),
    )


TABLES = small_tables()


def likely_codes(
    tables: Tables, channels: int, codebooks: int, frames: int, seed: int = 0, surprise: float = 0.1
) -> np.ndarray:
    """Codes that the tables expect, mostly: uint16 [channels, codebooks, frames]."""
    numbers = np.random.RandomState(seed)
    codes = np.zeros((channels, codebooks, 0), np.uint16)
    while codes.shape[2] < frames:
        # What a range decoder makes of random bytes are codes that are as likely as the tables say.
        layers = [numbers.bytes(2 * channels * _RUN + 8) for _ in range(codebooks)]
        run = coder.decode(network_of(tables), [layers], channels, _RUN)[0]
        if run is not None:  # one in hundreds is no number that an encoder can write
            codes = np.concatenate([codes, run], axis=2)
    codes = codes[:, :, :frames]
    random = np.stack(
        [numbers.randint(0, size, (channels, frames)) for size in tables.codebook_sizes[:codebooks]], 1
    )
    return np.where(numbers.random_sample(codes.shape) < surprise, random, codes).astype(np.uint16)


def coded_tokens(
    tables: Tables = TABLES, channels: int = 1, codebooks: int | None = None, frames: int = 100, **fields: Any
) -> Tokens:
    """Tokens that entropy coding makes smaller."""
    codebooks = len(tables.codebook_sizes) if codebooks is None else codebooks
    surprise, seed = fields.pop("surprise", 0.1), fields.pop("seed", 0)
    return Tokens(
        codes=likely_codes(tables, channels, codebooks, frames, seed, surprise),
        codebook_sizes=tables.codebook_sizes[:codebooks],
        frame_rate=Fraction(50),
        sample_rate=16000,
        n_samples=fields.pop("n_samples", frames * 320),
        model=tables.model,
        weights_hash=tables.weights_hash,
        **fields,
    )


def coded(tokens: Tokens, tables: Tables = TABLES, page_frames: int | None = None) -> bytes:
    """The entropy coded file of tokens."""
    file = io.BytesIO()
    tokenfile.write(file, tokens, page_frames=page_frames, tables=tables)
    return file.getvalue()


def decoded(data: bytes, tables: Tables = TABLES, **options: Any) -> Tokens:
    return tokenfile.read(io.BytesIO(data), tables=tables, **options)
