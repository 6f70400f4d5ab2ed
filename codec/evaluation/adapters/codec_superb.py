"""Models of this package as codecs of Codec-SUPERB (github.com/voidful/Codec-SUPERB).

The benchmark loads the class `Codec` of a module by name. Such a module is
`SoundCodec/codec/speech_16k_6.py`:

    from codec.evaluation.adapters.codec_superb import adapter
    Codec = adapter(kbps=6)

Then `SoundCodec.codec.load_codec("speech_16k_6")` gives the model, and the benchmark's scripts take this
name.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch

from codec import shipped
from codec.audio import check_audio, resample
from codec.errors import ConfigError
from codec.tokens import Tokens


def adapter(model: str | None = None, *, kbps: float | None = None, device: str | None = None) -> type:
    """The class `Codec` that the benchmark makes an object of: a subclass of its `BaseCodec`.

    Args:
        model: a shipped model's name or a path; the default model if not given.
        kbps: the bitrate; the highest if not given.
        device: where to compute; what the benchmark chooses if not given.

    Raises:
        ConfigError: Codec-SUPERB cannot be imported.
    """
    try:
        general: Any = importlib.import_module("SoundCodec.base_codec.general")
    except ImportError as error:
        raise ConfigError(
            f"Codec-SUPERB is not there ({error}): run from its folder, or install it."
        ) from error

    class Codec(general.BaseCodec):
        """Units are codes, int64 `[codebooks, frames]`, with several channels `[channels, ...]`."""

        def config(self) -> None:
            self.model = shipped.load(model, device=device or self.device)
            self.sampling_rate = self.model.sample_rate
            rate = max(self.model.info()["kbps"]) if kbps is None else kbps
            self.setting = f"{self.model.name}_{rate:g}kbps"

        def extract_unit(self, data: dict[str, Any]) -> Any:
            audio = data["audio"]
            x = check_audio(audio["array"])
            given = audio.get("sampling_rate") or self.sampling_rate
            tokens = self.model.encode(resample(x, given, self.sampling_rate), self.sampling_rate, kbps=kbps)
            codes = torch.from_numpy(tokens.codes.astype(np.int64))
            return general.ExtractedUnit(unit=codes[0] if len(codes) == 1 else codes, stuff_for_synth=tokens)

        def decode_unit(self, stuff_for_synth: Tokens) -> np.ndarray:
            """Audio float32 `[samples]` at the model's rate; with several channels `[channels, samples]`."""
            decoded = self.model.decode(stuff_for_synth)
            return decoded[0] if len(decoded) == 1 else decoded

    return Codec
