"""codec: a streaming neural audio codec, from waveforms to bitrate-selectable token files and back.

    import codec
    model = codec.load()
    tokens = model.encode(audio, sample_rate)
    codec.write("a.cdc", tokens)
    audio = model.decode(codec.read("a.cdc").at(kbps=3))

Importing this does not import PyTorch; the first `load` does, unless it is for the runtime "onnx".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codec.errors import (
    AudioError,
    CheckpointError,
    CodecError,
    ConfigError,
    ModelError,
    OutputError,
    TokenFileError,
)
from codec.shipped import load
from codec.tokenfile import read, write
from codec.tokens import Tokens

if TYPE_CHECKING:
    from codec.codec import Codec

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "CheckpointError",
    "Codec",
    "CodecError",
    "ConfigError",
    "ModelError",
    "OutputError",
    "TokenFileError",
    "Tokens",
    "load",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    # The class brings audio files and resampling, which reading and trimming token files should not wait for.
    if name == "Codec":
        from codec.codec import Codec

        return Codec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
