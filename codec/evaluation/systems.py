"""What an evaluation compares: systems that code a recording at several rates and decode it again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np

from codec import shipped
from codec.codec import Codec
from codec.errors import ConfigError
from codec.tokenfile import Tables, tables_beside, write
from codec.tokens import rates

DEFAULT_KBPS = (0.5, 1.0, 1.5, 3.0, 6.0, 8.0)


@dataclass(frozen=True, eq=False)
class Decoded:
    """What one system made of a recording at one rate: audio of the recording's shape; or why there is none.

    kbps: nominal; file_kbps: from the size of the file, with all that is in it. Both per channel, NaN if
    unknown.
    """

    kbps: float
    file_kbps: float
    audio: np.ndarray | None
    error: str = ""


class System(Protocol):
    """A codec to be measured; small and picklable, since it goes to other processes."""

    @property
    def name(self) -> str: ...

    @property
    def kbps(self) -> tuple[float, ...]:
        """Nominal rates, per channel, rising; (NaN,) where there are none to choose."""
        ...

    @property
    def identity(self) -> str:
        """Everything that its results depend on, apart from the recording."""
        ...

    def code(self, audio: np.ndarray, sample_rate: int, folder: str) -> Iterator[Decoded]:
        """The recording, float32 `[channels, samples]`, at every rate of `kbps`, in that order.

        folder: for temporary files; the caller removes them.
        """
        ...


@dataclass(frozen=True)
class ModelSystem:
    """A model of this package (`shipped.load` finds it), which encodes and decodes at each rate.

    variable: whether these are variable bitrates.
    """

    name: str
    kbps: tuple[float, ...]
    model: str | None
    device: str
    weights_hash: str
    variable: bool = False

    @property
    def identity(self) -> str:
        return f"{self.name} {self.weights_hash} {self.kbps} {'variable' if self.variable else ''}"

    def load(self) -> Codec:
        """The model, loaded once in each process."""
        return _load(self.model, self.device)

    def code(self, audio: np.ndarray, sample_rate: int, folder: str) -> Iterator[Decoded]:
        model = self.load()
        for kbps in self.kbps:
            fixed, vbr = (None, kbps) if self.variable else (kbps, None)
            tokens = model.encode(audio, sample_rate, kbps=fixed, vbr=vbr)
            file = io.BytesIO()
            write(file, tokens, tables=self._tables())
            file_kbps = 8 * len(file.getvalue()) / tokens.duration / tokens.channels / 1000
            yield Decoded(kbps if self.variable else tokens.kbps, file_kbps, model.decode(tokens))

    def _tables(self) -> Tables | None:
        if shipped.is_checkpoint(self.model):
            return None
        return tables_beside(shipped.resolve(self.model), self.weights_hash)


def model_systems(
    models: Sequence[str | None], kbps: Sequence[float] | None = None, device: str = "cpu"
) -> list[ModelSystem]:
    """Models side by side, each at those of the rates that it has; equal names get their weights' hash.

    kbps: DEFAULT_KBPS if not given, and a model that has none of these at its highest rate.

    Raises:
        ModelError: a model cannot be loaded. ConfigError: a rate that no model has, a model without any of
        the
            rates, or a model given twice.
    """
    loaded = [_load(model, device) for model in models]
    if kbps is not None:
        _check_rates(loaded, kbps)
    hashes = [codec.weights_hash for codec in loaded]
    for codec in loaded:
        if hashes.count(codec.weights_hash) > 1:
            raise ConfigError(f"{codec.name} ({codec.weights_hash}) is given twice: name each model once.")
    names = [codec.name for codec in loaded]
    systems = []
    for model, codec in zip(models, loaded, strict=True):
        name = codec.name if names.count(codec.name) == 1 else f"{codec.name} ({codec.weights_hash[:6]})"
        own = _own_rates(codec, DEFAULT_KBPS if kbps is None else kbps)
        systems.append(ModelSystem(name, own, model, device, codec.weights_hash))
    return systems


def variable_systems(systems: Sequence[ModelSystem], vbr: Sequence[float]) -> list[ModelSystem]:
    """The same models at variable bitrates, in kbps per channel.

    Raises:
        ConfigError: a model without one of them.
    """
    for system in systems:
        for kbps in vbr:
            system.load().choice_for(vbr=kbps)
    return [replace(system, name=f"{system.name} vbr", kbps=tuple(vbr), variable=True) for system in systems]


def check_names(systems: Sequence[System]) -> None:
    """Raises ConfigError unless every system has a name of its own."""
    names = [system.name for system in systems]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two systems are called {name}: give the peer another name.")


def _check_rates(models: Sequence[Codec], kbps: Sequence[float]) -> None:
    """The first model's complaint about a rate that no model has, and each one's if it has none of them."""
    for rate in kbps:
        if not any(_has(codec, rate) for codec in models):
            models[0].sizes_for(rate)
    for codec in models:
        if not any(_has(codec, rate) for rate in kbps):
            codec.sizes_for(kbps[0])


def _has(codec: Codec, kbps: float) -> bool:
    try:
        codec.sizes_for(kbps)
    except ConfigError:
        return False
    return True


def _own_rates(codec: Codec, kbps: Sequence[float]) -> tuple[float, ...]:
    """The rates that are really coded: two that mean the same codebooks are one."""
    coded = {codec.sizes_for(rate) for rate in kbps if _has(codec, rate)} or {codec.codebook_sizes}
    return tuple(sorted(rates(codec.frame_rate, sizes)[-1] for sizes in coded))


@cache
def _load(model: str | None, device: str) -> Codec:
    return shipped.load(model, device=device)
