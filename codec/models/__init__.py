"""Encoders and decoders, and the typed configurations that they are built from.

Importing this imports nothing yet: `codec.models.rates`, which needs no PyTorch, should not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codec.models.base import Decoder, Encoder
    from codec.models.build import build_decoder, build_encoder
    from codec.models.config import CodecConfig, SeanetConfig, SpectralConfig, from_json, to_json

__all__ = [
    "CodecConfig",
    "Decoder",
    "Encoder",
    "SeanetConfig",
    "SpectralConfig",
    "build_decoder",
    "build_encoder",
    "from_json",
    "to_json",
]

_MODULES = {"Decoder": "base", "Encoder": "base", "build_decoder": "build", "build_encoder": "build"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'config')}"), name)
