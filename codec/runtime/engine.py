"""A model that onnxruntime runs, behind the contract of `codec.engine`.

Codes are decided as by `codec.exact`: in float32, and close calls in float64. They are then equal to those of
PyTorch, and of any machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from codec.engine import ModelFacts
from codec.errors import ModelError
from codec.models import rates
from codec.recheck import SEARCH, Window, windows
from codec.runtime import codebooks, manifest, search
from codec.runtime.codebooks import Stage
from codec.runtime.manifest import GraphFile
from codec.runtime.rows import OnnxRowDecoder, OnnxRowEncoder
from codec.runtime.search import Codebook
from codec.runtime.session import Session, States
from codec.runtime.weights import WeightsFile
from codec.tokens import Codes
from codec.variable import PRICES_KEPT


class OnnxEngine:
    """`codec.engine.Engine` of a model that `codec export` has exported.

    Args:
        weights: the `.safetensors` file, beside which the graphs are.

    Raises:
        ModelError: a file is missing or damaged, or they do not belong together.
    """

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self.manifest = manifest.load(weights)
        self.tensors = WeightsFile(weights)
        config = weights.with_suffix(".json")
        try:
            text = config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"The model's configuration {config} cannot be read: {error}.") from error
        self.config = text
        facts = self.manifest.facts
        weights_hash = self.tensors.hash(text)
        if weights_hash != facts.weights_hash:
            raise ModelError(
                f"The ONNX graphs beside {weights} are of other weights ({facts.weights_hash}) than these "
                f"({weights_hash}): export the model again."
            )
        self._stages = codebooks.load(self.tensors, self.manifest)
        self._books = lru_cache(PRICES_KEPT)(self._at_price)
        self.beam = int(json.loads(text)["quantizer"].get("beam", 1))
        self._rates = rates.beside(weights, weights_hash, facts.codebook_sizes)
        if self._rates is not None:
            facts = replace(facts, smaller=tuple(self._rates.sizes), prices=self._rates.prices)
        self.facts: ModelFacts = facts

    # Each graph is loaded when it is needed first: encoding does not wait for the decoder, nor the reverse.

    @cached_property
    def encoder(self) -> Session:
        return self._session("encoder", np.float32)

    @cached_property
    def encoder64(self) -> Session:
        return self._session("encoder64", np.float64)

    @cached_property
    def decoder(self) -> Session:
        return self._session("decoder", np.float32)

    def encoding(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> OnnxEncoding:
        count = len(codebook_sizes)
        fast, exact = self._books(price)
        fast, exact = fast[:count], exact[:count]
        stages = self._stages_for(codebook_sizes)
        if stages[-1] is not self._stages[count - 1]:
            last = replace(stages[-1].exact, price=price)
            fast[-1], exact[-1] = last.astype(np.float32), last.astype(np.float64)
        return OnnxEncoding(self, fast, exact, [stage.first for stage in stages])

    def decoding(self, codebook_sizes: tuple[int, ...]) -> OnnxDecoding:
        tables = [stage.values for stage in self._stages_for(codebook_sizes)]
        if not self.manifest.begins:
            return OnnxDecoding(self, tables)
        columns = [stage.exact.columns for stage in self._stages]
        return OnnxDecoding(self, tables, columns[: len(tables)], max(own.stop for own in columns))

    def row_encoder(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> OnnxRowEncoder:
        return OnnxRowEncoder(OnnxEngine.encoding(self, codebook_sizes, price))

    def row_decoder(self) -> OnnxRowDecoder:
        return OnnxRowDecoder(self.decoder)

    def _at_price(self, price: float) -> tuple[list[Codebook], list[Codebook]]:
        """All codebooks in float32 and float64, at a price of their codes."""
        own = self._fast, self._exact
        if price == 0:
            return own
        fast, exact = ([replace(book, price=price) for book in books] for books in own)
        return fast, exact

    @cached_property
    def _fast(self) -> list[Codebook]:
        return [stage.exact.astype(np.float32) for stage in self._stages]

    @cached_property
    def _exact(self) -> list[Codebook]:
        return [stage.exact.astype(np.float64) for stage in self._stages]

    def _stages_for(self, codebook_sizes: tuple[int, ...]) -> list[Stage]:
        count = len(codebook_sizes)
        stages = self._stages[:count]
        last = codebook_sizes[-1]
        if self._rates is not None and last != stages[-1].size:
            stages = [*stages[:-1], codebooks.smaller(stages[-1], self._rates, count - 1, last)]
        return stages

    def _session(self, kind: str, dtype: type) -> Session:
        first = self.manifest.graphs.get(kind + manifest.FIRST)
        return self._load(
            self.manifest.graphs[kind], dtype, None if first is None else self._load(first, dtype)
        )

    def _load(self, graph: GraphFile, dtype: type, first: Session | None = None) -> Session:
        path = self._weights.with_name(graph.file)
        manifest.checked(path, graph.sha256)
        return Session(path, graph.states, dtype, first)


@dataclass(frozen=True)
class EncoderState:
    """Where a stream stands.

    layers: states of the layers, as what computes them has them; None at the start.
    past: the audio `[batch, samples]` that coming frames still depend on, as far as there is any.
    frames: frames so far. rechecked: how many of them (summed over the batch) were decided in float64.
    """

    layers: Any = None
    past: np.ndarray | None = None
    frames: int = 0
    rechecked: int = 0


class OnnxEncoding:
    """`codec.engine.Encoding` by codebooks in float32 and float64; first: as `codebooks.Stage.first`."""

    def __init__(
        self, engine: OnnxEngine, fast: list[Codebook], exact: list[Codebook], first: list[np.ndarray]
    ) -> None:
        self._engine, self.fast, self.exact, self.first = engine, fast, exact, first
        self._hop = engine.facts.hop_length
        self._history = engine.manifest.history
        self._typical = np.float32(engine.manifest.typical_norm)
        self.rounding = engine.manifest.rounding

    @property
    def history(self) -> int | None:
        """Samples that a frame depends on besides its own; None where all is encoded in float64."""
        return self._history

    @property
    def session(self) -> Session:
        """The graph that `find` runs."""
        return self._engine.encoder64 if self._history is None else self._engine.encoder

    def step(
        self, audio: np.ndarray, state: EncoderState | None = None, valid: Sequence[int] | None = None
    ) -> tuple[Codes, EncoderState]:
        state = EncoderState() if state is None else state
        # A part of a frame is the end of a recording, for an encoder that fills it up by itself.
        batch, frames = len(audio), -(-audio.shape[1] // self._hop)
        if frames == 0:
            return np.zeros((batch, len(self.fast), 0), np.uint16), state
        at = state.frames + frames
        codes, unsure, layers = self.find(audio, state.layers)
        by_row = codes.reshape(batch, frames, -1)
        if self._history is None:
            return self.canonical(by_row), EncoderState(layers, None, at, 0)
        for row, count in enumerate(valid or ()):
            unsure[row, count:] = False
        seen = audio if state.past is None else np.concatenate([state.past, audio], axis=1)
        rechecked = int(unsure.sum())
        if rechecked:
            self.recheck(by_row, unsure, seen, at_start=seen.shape[1] == at * self._hop)
        # A copy: a view would keep all of the audio.
        past = seen[:, max(0, seen.shape[1] - self._history) :].copy()
        return self.canonical(by_row), EncoderState(layers, past, at, state.rechecked + rechecked)

    def find(self, audio: np.ndarray, layers: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        """Codes `[batch * frames, codebooks]`, which frames `[batch, frames]` are unsure, and the states."""
        beam = self._engine.beam
        if self._history is None:
            latents, layers = self._engine.encoder64.step(audio[:, None].astype(np.float64), layers)
            codes, unsure = search.encode(self.exact, _rows(latents), None, beam)
        else:
            latents, layers = self._engine.encoder.step(audio[:, None], layers)
            rows = _rows(latents)
            size = self.size(rows)
            codes, unsure = search.encode(self.fast, rows, np.float32(self.rounding + SEARCH) * size, beam)
            if unsure.any():
                wide, bound = rows[unsure].astype(np.float64), self.rounding * size[unsure]
                codes[unsure], still = search.encode(self.exact, wide, bound, beam)
                unsure[unsure] = still
        return codes, unsure.reshape(len(audio), -1), layers

    def recheck(self, codes: np.ndarray, unsure: np.ndarray, seen: np.ndarray, *, at_start: bool) -> None:
        """Decides unsure `[batch, frames]` in float64, in place in codes `[batch, frames, codebooks]`.

        Args:
            seen: audio `[batch, samples]` of these frames and of what they depend on, as far as there is any.
            at_start: it begins where the streams did.
        """
        assert self._history is not None
        # Frames of `seen` are counted from its beginning; `unsure` is about the last of them.
        reach, old = self._history // self._hop, seen.shape[1] // self._hop - unsure.shape[1]
        for group in windows(unsure, old, reach, at_start=at_start):
            self._decide(codes, seen, group, old, reach)

    def size(self, latents: np.ndarray) -> np.ndarray:
        """What the errors of latents `[n, dim]` are relative to, `[n]`."""
        found: np.ndarray = np.maximum(np.linalg.norm(latents, axis=1), self._typical)
        return found

    def _decide(self, codes: np.ndarray, seen: np.ndarray, group: list[Window], old: int, reach: int) -> None:
        """Decides windows of one length in float64, in place in codes `[batch, frames, codebooks]`."""
        encoder = self._engine.encoder64
        # Where all of a window's past is there, the layers need no more than that, and no run-in.
        whole = [w for w in group if self._engine.manifest.crops and w.decided[0] - w.begin >= reach]
        others = [w for w in group if w not in whole]
        for part, skipped in ((whole, reach), (others, 0)):
            if not part:
                continue
            audio = np.stack(
                [seen[w.row, w.begin * self._hop : (w.begin + w.frames) * self._hop] for w in part]
            )
            states = encoder.without_past(len(part)) if skipped else encoder.start(len(part))
            latents, _ = encoder.step(audio[:, None].astype(np.float64), states)
            wanted = [(i, w.row, frame, w.begin) for i, w in enumerate(part) for frame in w.decided]
            item, row, frame, begin = np.array(wanted).T
            decided = latents[item, :, frame - begin - skipped]
            found, _ = search.encode(self.exact, decided, None, self._engine.beam)
            codes[row, frame - old] = found

    def canonical(self, codes: np.ndarray) -> Codes:
        """`[batch, codebooks, frames]` of codes `[batch, frames, codebooks]`, the first of equal vectors."""
        first = np.empty((len(codes), codes.shape[2], codes.shape[1]), np.uint16)
        for k, table in enumerate(self.first):
            first[:, k] = table[codes[:, :, k]]
        return first


class OnnxDecoding:
    """`codec.engine.Decoding` by what the codes of each codebook stand for.

    columns, width: as of `search.decode`.
    """

    def __init__(
        self, engine: OnnxEngine, tables: list[np.ndarray], columns: Sequence[slice] = (), width: int = 0
    ) -> None:
        self._engine, self.tables, self._columns, self._width = engine, tables, columns, width

    def latents(self, codes: Codes) -> np.ndarray:
        return search.decode(self.tables, codes, self._columns, self._width)

    def step(self, latents: np.ndarray, state: States | None = None) -> tuple[np.ndarray, States]:
        audio, after = self._engine.decoder.step(latents, state)
        return audio[:, 0], after


def _rows(latents: np.ndarray) -> np.ndarray:
    """Latents `[batch, dim, frames]` as `[batch * frames, dim]`."""
    return np.ascontiguousarray(latents.transpose(0, 2, 1)).reshape(-1, latents.shape[1])
