"""ViSQOL (Chinen et al. 2020) in speech mode, by the package visqol-python."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Speech mode needs the first one, and would say so only when it measures.
import ai_edge_litert  # type: ignore[import-untyped]  # noqa: F401
import numba
import numpy as np
import soxr  # type: ignore[import-untyped]
import torch
from visqol import VisqolApi

from codec.first_use import alone

_RATE = 16_000


def visqol(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """Mean opinion score, 1 to 5, of decoded speech against its original, float arrays `[samples]`.

    Computed at 16 kHz with the lattice network that Google's program uses by default. Clips under about a
    second and silent ones have no score.

    Raises:
        ValueError, IndexError: the clip is too short.
    """
    a, b = (x.astype(np.float64) for x in (reference, decoded))
    if sample_rate != _RATE:
        a, b = (soxr.resample(x, sample_rate, _RATE, quality="VHQ") for x in (a, b))
    with _one_thread():
        return float(_speech_mode().measure_from_arrays(a, b, _RATE).moslqo)


@cache
def _speech_mode() -> VisqolApi:
    api = VisqolApi()
    # Without the lattice the package falls back to other scores with no more than a warning: better to fail.
    with _quiet():
        api.create(mode="speech", use_lattice_model=True)
    with alone("visqol"):
        noise = np.random.default_rng(0).standard_normal(2 * _RATE)
        bursts = 0.1 * noise * (np.arange(len(noise)) % 4000 < 2000)
        api.measure_from_arrays(bursts, bursts + 0.01 * noise[::-1], _RATE)
    return api


@contextmanager
def _one_thread() -> Iterator[None]:
    """The package would take all cores, though recordings run in parallel.

    Numba shares OpenMP with PyTorch, and when it starts, PyTorch has as many threads as Numba could have.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _quiet() -> Iterator[None]:
    """While the network's C++ runtime greets on stderr."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
