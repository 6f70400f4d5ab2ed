"""Opus (RFC 6716) as a peer, by the programs opusenc and opusdec of opus-tools."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codec.errors import CodecError, ConfigError
from codec.evaluation import commands
from codec.evaluation.align import fit
from codec.evaluation.systems import Decoded

_DEFAULT_KBPS = (6.0, 8.0, 12.0)
_LOWEST, _HIGHEST = 6, 256
_INTERNAL_RATE = 48_000


@dataclass(frozen=True)
class OpusSystem:
    """Opus at its defaults (variable bitrate, highest complexity, frames of 20 ms).

    The file's rate counts the Ogg container with its headers, as a token file's counts its own; comments and
    padding are left out. Opus undoes its own delay; what remains is found as for any peer
    (`evaluation.align`).
    """

    kbps: tuple[float, ...]
    version: str
    name: str = "opus"

    @property
    def identity(self) -> str:
        return f"{self.version} {self.kbps}"

    def code(self, audio: np.ndarray, sample_rate: int, folder: str) -> Iterator[Decoded]:
        original, coded, decoded = (
            os.path.join(folder, f"opus.{suffix}") for suffix in ("wav", "opus", "out.wav")
        )
        commands.write_wav(original, audio, sample_rate)
        for kbps in self.kbps:
            try:
                total = f"{kbps * len(audio):g}"
                encode = ["opusenc", "--quiet", "--discard-comments", "--padding", "0", "--bitrate", total]
                commands.run([*encode, original, coded])
                decode = ["opusdec", "--quiet", "--float", "--rate", str(_INTERNAL_RATE)]
                commands.run([*decode, coded, decoded])
                made, rate = commands.read_wav(decoded, "opusdec")
                file_kbps = 8 * os.path.getsize(coded) / (audio.size / sample_rate) / 1000
                yield Decoded(kbps, file_kbps, fit(made, rate, audio, sample_rate))
            except CodecError as error:
                yield Decoded(kbps, math.nan, None, str(error))


def opus_system(kbps: Sequence[float] = ()) -> OpusSystem:
    """Opus at these rates, per channel; at 6, 8 and 12 kbps if none are given.

    Raises:
        ConfigError: opus-tools are not installed, or a rate that they do not have.
    """
    for program in ("opusenc", "opusdec"):
        commands.require(program, "install opus-tools, or leave out --against opus")
    wanted = tuple(sorted(set(kbps))) or _DEFAULT_KBPS
    for rate in wanted:
        if not _LOWEST <= rate <= _HIGHEST:
            raise ConfigError(
                f"opusenc has no {rate:g} kbps: ask for {_LOWEST} to {_HIGHEST} kbps a channel."
            )
    return OpusSystem(wanted, commands.run(["opusenc", "--version"]).partition("\n")[0])
