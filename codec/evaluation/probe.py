"""The codes of one recording, and how many of them stay when the recording changes in ways nobody hears."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec.codec import Codec
from codec.resampling import resample

_GAIN_DB = -3.0
_NOISE_DB = -40.0


@dataclass(frozen=True, eq=False)
class Probe:
    """Of one recording and one model.

    codes: uint16 `[channels, codebooks, frames]`, of all codebooks.
    stable: int64 `[3, codebooks]`, how many codes stay equal after a shift by one sample, a gain of -3 dB,
    and
        white noise 40 dB below the recording's power.
    compared: `[3]`, how many codes of each codebook were compared.
    """

    system: str
    codes: np.ndarray
    stable: np.ndarray
    compared: tuple[int, int, int]

    def plain(self) -> dict[str, Any]:
        """As values that JSON has."""
        packed = base64.b64encode(zlib.compress(self.codes.astype("<u2").tobytes())).decode()
        return {
            "system": self.system,
            "shape": list(self.codes.shape),
            "codes": packed,
            "stable": self.stable.tolist(),
            "compared": list(self.compared),
        }

    @staticmethod
    def of_plain(value: dict[str, Any]) -> Probe:
        """The probe that `plain` described."""
        codes = np.frombuffer(zlib.decompress(base64.b64decode(value["codes"])), "<u2").astype(np.uint16)
        shift, gain, noise = value["compared"]
        return Probe(
            value["system"], codes.reshape(value["shape"]), np.array(value["stable"]), (shift, gain, noise)
        )


def probe(system: str, model: Codec, audio: np.ndarray, sample_rate: int) -> Probe:
    """Encodes audio float32 `[channels, samples]`, and again after each change; all at the model's rate."""
    x = resample(audio, sample_rate, model.sample_rate)
    noise = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    power = np.sqrt(np.square(x).mean(axis=1, keepdims=True))
    changed = (x[:, 1:], x * 10 ** (_GAIN_DB / 20), x + noise * power * 10 ** (_NOISE_DB / 20))
    codes = model.encode(x, model.sample_rate).codes
    stable, compared = [], []
    for other in changed:
        made = model.encode(other.astype(np.float32), model.sample_rate).codes
        frames = min(codes.shape[2], made.shape[2])  # a sample less may be a frame less
        stable.append((codes[:, :, :frames] == made[:, :, :frames]).sum(axis=(0, 2)))
        compared.append(len(codes) * frames)
    shift, gain, noisy = compared
    return Probe(system, codes, np.array(stable), (shift, gain, noisy))
