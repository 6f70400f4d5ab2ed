"""The engine of the runtime "numba": compiled code for single frames, onnxruntime for the rest."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from codec.errors import ModelError
from codec.filter_bank import band_of_bins, mdct_basis
from codec.recheck import SEARCH
from codec.runtime.compiled import frames, kernels, paths, wide
from codec.runtime.engine import OnnxDecoding, OnnxEncoding, OnnxEngine
from codec.runtime.search import Codebook
from codec.runtime.weights import WeightsFile
from codec.tokens import Codes


class Layers(NamedTuple):
    """One half of a network as the kernels take it; see `frames.encode`.

    enter, leave: weight of its first and last layer; entered, left: their bias.
    """

    enter: np.ndarray
    entered: np.ndarray
    taps: np.ndarray
    vectors: np.ndarray
    expand: np.ndarray
    widen: np.ndarray
    contract: np.ndarray
    leave: np.ndarray
    left: np.ndarray


class Tables(NamedTuple):
    """Codebooks of one size as `kernels.search` takes them."""

    values: np.ndarray
    halves: np.ndarray
    reach: np.ndarray


class FrameState(NamedTuple):
    """Between single frames: samples `[hop_length]` (past ones, or the overlap), and the blocks' states."""

    samples: np.ndarray
    blocks: np.ndarray


class NumbaEngine(OnnxEngine):
    """As `OnnxEngine`, faster for streams that are pushed frame by frame.

    Compiling takes some seconds, once on a machine where Numba can keep what it compiled.

    Raises:
        ModelError: as `OnnxEngine`, or the model has another network or quantizer than there are kernels for.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__(weights)
        network = json.loads(self.config)["network"]
        sizes, width = set(self.facts.codebook_sizes), int(network.get("width", 0))
        fits = all(size % 4 == 0 for size in (*sizes, width, self.facts.hop_length))
        if network["kind"] != "spectral" or not self.manifest.codebooks or len(sizes) > 1 or not fits:
            raise ModelError(
                'The runtime "numba" has kernels for spectral networks with codebooks of one size that are '
                'searched by distance: use runtime="onnx" for this model.'
            )
        self.exponent = float(network["compand"])
        self.basis = mdct_basis(self.facts.hop_length)
        band_width = float(network.get("band_width", 0.0))
        self.bands = np.zeros(0, np.int64)
        if band_width:
            self.bands = band_of_bins(self.facts.sample_rate, self.facts.hop_length, band_width)
        blocks = network["encoder_blocks"], network["decoder_blocks"]
        self.encoder_layers = _layers(self.tensors, "encoder", "mix", "project", blocks[0])
        self.decoder_layers = _layers(self.tensors, "decoder", "unproject", "unmix", blocks[1])
        self._warm_up()

    @cached_property
    def tables(self) -> Tables:
        """All codebooks, as they are stored."""
        stored = [_bits(self.tensors.tensor(name)) for name in self.manifest.codebooks]
        return _tables(np.stack(stored), self._fast)

    def encode_frame(self, samples: np.ndarray, layers: Any) -> tuple[np.ndarray, FrameState]:
        """The latent `[dim]` of a frame `[hop_length]`, and the state after it; layers: of `EncoderState`."""
        if not isinstance(layers, FrameState):
            first, *rest = self.encoder.start(1) if layers is None else layers
            layers = FrameState(first[0, 0], _joined(rest))
        net = self.encoder_layers
        latent, after = np.empty(len(net.left), np.float32), np.empty_like(layers.blocks)
        samples = samples.copy()  # the caller's memory may change, and this is kept
        frames.encode(
            samples,
            layers.samples,
            layers.blocks,
            after,
            self.basis,
            self.exponent,
            self.bands,
            *net,
            latent,
        )
        return latent[: self.tables.values.shape[2]], FrameState(samples, after)

    def encode_wide(self, samples: np.ndarray) -> np.ndarray:
        """Latents float64 `[frames, dim]` of samples with all before them that the first depends on."""
        found: np.ndarray = wide.encode(
            np.ascontiguousarray(samples), self.basis, self.exponent, self.bands, *self.encoder_layers
        )
        return found[:, : self.tables.values.shape[2]]

    def encoding(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> OnnxEncoding:
        return _CompiledEncoding(self, super().encoding(codebook_sizes, price), codebook_sizes)

    def decoding(self, codebook_sizes: tuple[int, ...]) -> OnnxDecoding:
        return _CompiledDecoding(self, super().decoding(codebook_sizes), codebook_sizes)

    def _warm_up(self) -> None:
        """Compiles and loads everything now, and not when the first samples wait."""
        silence = np.zeros((1, self.facts.hop_length), np.float32)
        # A last codebook that is smaller is float32, and has code of its own.
        smaller = [(sizes[0],) for sizes in self.facts.smaller[:1] if sizes]
        for choice in (self.facts.codebook_sizes, *smaller):
            codes, _ = self.encoding(choice).step(silence)
            decoding = self.decoding(choice)
            decoding.step(decoding.latents(codes))
        self.encode_wide(np.zeros((self.manifest.history or 0) + silence.size, np.float32))
        self.encoder64.step(silence[None].astype(np.float64), None)


class _CompiledEncoding(OnnxEncoding):
    def __init__(self, engine: NumbaEngine, plain: OnnxEncoding, sizes: tuple[int, ...]) -> None:
        super().__init__(engine, plain.fast, plain.exact, plain.first)
        self._compiled = engine
        self._stages = len(sizes)
        self._price = plain.fast[0].price
        self._last: Tables | None = None
        if sizes[-1] != engine.tables.values.shape[1]:
            self._last = _tables(plain.fast[-1].keys[None], plain.fast[-1:])
            self._stages -= 1

    def find(self, audio: np.ndarray, layers: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        engine = self._compiled
        hop = len(engine.basis)
        if audio.shape != (1, hop):
            if isinstance(layers, FrameState):
                layers = (layers.samples[None, None], *layers.blocks[:, None])
            return super().find(audio, layers)
        latent, after = engine.encode_frame(audio[0], layers)
        codes, unsure = self._search(latent.astype(np.float64), self.rounding)
        return codes[None], np.array([[unsure]]), after

    def recheck(self, codes: np.ndarray, unsure: np.ndarray, seen: np.ndarray, *, at_start: bool) -> None:
        hop = len(self._compiled.basis)
        if unsure.shape == (1, 1) and seen.shape[1] == (self._history or 0) + hop:
            latent = self._compiled.encode_wide(seen[0])[0]
            codes[0, 0] = self._search(latent, 0.0)[0]
        else:
            super().recheck(codes, unsure, seen, at_start=at_start)

    def _search(self, latent: np.ndarray, rounding: float) -> tuple[np.ndarray, bool]:
        """Codes `[codebooks]` of a latent float64 `[dim]`; whether they could be others, if rounded."""
        engine, size = self._compiled, float(self.size(latent[None])[0])
        close, bound = (rounding + SEARCH) * size, rounding * size
        if engine.beam > 1 or self._price > 0:
            codes, gap = paths.search(latent.astype(np.float32), self._parts, engine.beam, self._price)
            if gap <= close:
                codes, gap = paths.search(latent, self._wide_parts, engine.beam, self._price)
            return codes, gap <= bound
        codes, residual = np.empty(len(self.fast), np.int64), latent.copy()
        unsure = kernels.search(residual, *engine.tables, close, bound, codes[: self._stages])
        if self._last is not None:
            unsure |= kernels.search(residual, *self._last, close, bound, codes[self._stages :])
        return codes, bool(unsure)

    @cached_property
    def _parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The codebooks as `paths.search` takes them."""
        own = self._compiled.tables
        parts = []
        if self._stages:
            parts = [(own.values[: self._stages], self._paid(own.halves[: self._stages]))]
        return parts if self._last is None else [*parts, (self._last.values, self._last.halves)]

    @cached_property
    def _wide_parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same for a search in float64."""
        halves = -np.stack([book.halves for book in self.exact[: self._stages]]) if self._stages else None
        parts = [] if halves is None else [(self._parts[0][0], self._paid(halves))]
        if self._last is None:
            return parts
        return [*parts, (self._last.values, -self.exact[-1].halves[None])]

    def _paid(self, halves: np.ndarray) -> np.ndarray:
        """Halves of squared norms `[stages, size]`, negated, less half of the price of each code."""
        paid = halves.copy()
        paid[:, 1:] -= paid.dtype.type(self._price / 2)
        return paid


class _CompiledDecoding(OnnxDecoding):
    def __init__(self, engine: NumbaEngine, plain: OnnxDecoding, sizes: tuple[int, ...]) -> None:
        super().__init__(engine, plain.tables)
        self._compiled = engine
        self._stages = len(sizes)
        self._last: np.ndarray | None = None
        if sizes[-1] != engine.tables.values.shape[1]:
            self._last = plain.tables[-1][None].astype(np.float32)
            self._stages -= 1

    def latents(self, codes: Codes) -> np.ndarray:
        if codes.shape[::2] != (1, 1):
            return super().latents(codes)
        total = np.zeros(self._compiled.tables.values.shape[2], np.float32)
        chosen = np.ascontiguousarray(codes[0, :, 0])
        frames.add_up(self._compiled.tables.values, chosen[: self._stages], total)
        if self._last is not None:
            frames.add_up(self._last, chosen[self._stages :], total)
        return total[None, :, None]

    def step(self, latents: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
        engine = self._compiled
        if latents.shape[::2] != (1, 1):
            if isinstance(state, FrameState):
                state = (*state.blocks[:, None], state.samples[None, None])
            return super().step(latents, state)
        if not isinstance(state, FrameState):
            *rest, last = engine.decoder.start(1) if state is None else state
            state = FrameState(last[0, 0], _joined(rest))
        after = np.empty_like(state.blocks)
        samples, tail = np.empty((2, len(engine.basis)), np.float32)
        frames.decode(
            np.ascontiguousarray(latents[0, :, 0]),
            state.samples,
            state.blocks,
            after,
            engine.basis,
            engine.exponent,
            engine.bands,
            *engine.decoder_layers,
            samples,
            tail,
        )
        return samples[None], FrameState(tail, after)


def _layers(tensors: WeightsFile, half: str, enter: str, leave: str, blocks: int) -> Layers:
    def matrix(name: str) -> np.ndarray:
        found = tensors.tensor(f"{half}.{name}")
        return _bits(found.reshape(len(found), -1))

    def vector(name: str) -> np.ndarray:
        return tensors.tensor(f"{half}.{name}").astype(np.float32)

    names = [f"blocks.layers.{k}" for k in range(blocks)]
    inner = ("depthwise.conv.bias", "norm.weight", "norm.bias", "contract.bias")
    width = len(vector(f"{enter}.bias"))

    def stacked(parts: list[np.ndarray], *shape: int) -> np.ndarray:
        return np.stack(parts) if parts else np.zeros((0, *shape), np.float32)

    return Layers(
        matrix(f"{enter}.weight"),
        vector(f"{enter}.bias"),
        stacked([vector(f"{name}.depthwise.conv.weight")[:, 0] for name in names], width, 1),
        stacked([np.stack([vector(f"{name}.{part}") for part in inner]) for name in names], 4, width),
        stacked([matrix(f"{name}.expand.weight") for name in names], width, width),
        stacked([vector(f"{name}.expand.bias") for name in names], width),
        stacked([matrix(f"{name}.contract.weight") for name in names], width, width),
        _filled_up(matrix(f"{leave}.weight")),
        _filled_up(vector(f"{leave}.bias")),
    )


def _filled_up(rows: np.ndarray) -> np.ndarray:
    """With rows of zeros up to a multiple of 4, as `kernels.product` wants them."""
    return np.concatenate([rows, np.zeros((-len(rows) % 4, *rows.shape[1:]), rows.dtype)])


def _bits(tensor: np.ndarray) -> np.ndarray:
    """Contiguous; float16 as its bits, and all else as float32."""
    if tensor.dtype == np.float16:
        return np.ascontiguousarray(tensor).view(np.uint16)
    return np.ascontiguousarray(tensor, np.float32)


def _tables(values: np.ndarray, books: list[Codebook]) -> Tables:
    halves, reach = ([getattr(book, name) for book in books] for name in ("halves", "reach"))
    return Tables(values, -np.stack(halves), np.stack(reach))


def _joined(states: list[np.ndarray]) -> np.ndarray:
    """States `[1, channels, steps]` of all blocks as `[blocks, channels, steps]`."""
    return np.concatenate(states) if states else np.zeros((0, 1, 1), np.float32)
