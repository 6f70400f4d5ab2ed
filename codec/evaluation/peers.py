"""Any other codec as a peer, by a command with places for file names."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codec.errors import CodecError, ConfigError
from codec.evaluation import commands
from codec.evaluation.align import fit
from codec.evaluation.systems import Decoded

_PLACE = re.compile(r"\{(\w*)\}")
_REQUIRED, _KNOWN = {"in", "out"}, {"in", "out", "kbps", "file"}


@dataclass(frozen=True)
class PeerSystem:
    """A command that reads a WAV and writes what its codec makes of it, as `peer_system` describes."""

    name: str
    kbps: tuple[float, ...]
    command: tuple[str, ...]

    @property
    def identity(self) -> str:
        return f"{self.name} {self.command} {self.kbps}"

    def code(self, audio: np.ndarray, sample_rate: int, folder: str) -> Iterator[Decoded]:
        for number, kbps in enumerate(self.kbps):
            # New names for each rate, so that what one run leaves cannot pass for the output of the next.
            paths = {place: os.path.join(folder, f"{number}-{place}.wav") for place in ("in", "out")}
            paths["file"] = os.path.join(folder, f"{number}-coded")
            commands.write_wav(paths["in"], audio, sample_rate)
            places = {**paths, "kbps": f"{kbps * len(audio):g}"}
            try:
                commands.run([_fill(part, places) for part in self.command])
                made, rate = commands.read_wav(paths["out"], self.command[0])
                file_kbps = _size(paths["file"]) * 8 / (audio.size / sample_rate) / 1000
                yield Decoded(kbps, file_kbps, fit(made, rate, audio, sample_rate))
            except CodecError as error:
                yield Decoded(kbps, math.nan, None, str(error))


def peer_system(text: str, kbps: Sequence[float]) -> PeerSystem:
    """The peer that `name=command` means.

    The command is split as a shell would, but not run by one (`sh -c '...'` is). In it stand for themselves:
    `{in}`, a WAV of 16 bits to read; `{out}`, a WAV to write, of any rate; `{kbps}`, kilobits per second for
    all channels together, once for each rate of `kbps`; and `{file}`, where to leave the coded file, whose
    size then gives the real bitrate.

    Raises:
        ConfigError: the text is no such thing, or its program is not installed.
    """
    name, equals, line = text.partition("=")
    name = name.strip()
    if not equals or not name or not name.isprintable():
        raise ConfigError(f"{text!r} is no peer: write name=command {{in}} {{out}}.")
    try:
        command = tuple(shlex.split(line))
    except ValueError as error:
        raise ConfigError(f"The command of peer {name} cannot be read: {str(error).lower()}.") from None
    found = {place for part in command for place in _PLACE.findall(part)}
    for place in sorted(_REQUIRED - found):
        raise ConfigError(
            f"The command of peer {name} has no {{{place}}}: write name=command {{in}} {{out}}."
        )
    for place in sorted(found - _KNOWN):
        known = ", ".join(f"{{{item}}}" for item in ("in", "out", "kbps", "file"))
        raise ConfigError(f"The command of peer {name} has {{{place}}}, and only {known} mean something.")
    commands.require(command[0], f"install it, or correct the command of peer {name}")
    return PeerSystem(name, tuple(sorted(set(kbps))) if "kbps" in found else (math.nan,), command)


def _fill(part: str, places: dict[str, str]) -> str:
    return _PLACE.sub(lambda match: places[match[1]], part)


def _size(path: str) -> float:
    return os.path.getsize(path) if os.path.exists(path) else math.nan
