"""How the loops that Numba compiles are compiled, for training and for the runtime alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit  # type: ignore[import-untyped, unused-ignore]

# Sums may be taken in another order, and a product and a sum be rounded once: without that there are no
# vector instructions. Infinity and NaN keep their meaning, for a training that diverges must be seen to.
_FASTMATH = {"reassoc", "contract"}


def compiled(function: Callable[..., Any]) -> Any:
    """A function that Numba compiles at its first call, and keeps for later processes where it can."""
    return _compiled(function, False)


def compiled_for_threads(function: Callable[..., Any]) -> Any:
    """The same, whose `prange` loops are shared between threads."""
    return _compiled(function, True)


def _compiled(function: Callable[..., Any], parallel: bool) -> Any:
    options: dict[str, Any] = {"parallel": parallel, "fastmath": _FASTMATH, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write to
        return njit(**options)(function)
