"""Many streams as the rows of one batch, in onnxruntime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codec.runtime.session import Session, States
from codec.tokens import Codes

if TYPE_CHECKING:
    from codec.runtime.engine import OnnxEncoding


@dataclass(frozen=True, eq=False)
class Row:
    """The state of one stream: a row of the states of the batch that it was last computed in."""

    batch: States
    index: int

    def alone(self) -> Row:
        """The same, without keeping the other rows' memory alive: for a stream that pauses."""
        return Row(tuple(state[self.index : self.index + 1].copy() for state in self.batch), 0)


@dataclass(frozen=True, eq=False)
class EncoderRow:
    """Where one of many streams stands.

    past: the stretches of audio `[samples]` that coming frames still depend on; held in sum.
    frames: so far. rechecked: how many of them were decided in float64.
    """

    layers: Row | None = None
    past: tuple[np.ndarray, ...] = ()
    held: int = 0
    frames: int = 0
    rechecked: int = 0

    def alone(self) -> EncoderRow:
        """The same, without keeping other rows' memory alive: for a stream that pauses."""
        layers = None if self.layers is None else self.layers.alone()
        past = (np.concatenate(self.past),) if self.past else ()
        return EncoderRow(layers, past, self.held, self.frames, self.rechecked)


class OnnxRowEncoder:
    """`codec.engine.RowEncoding` by an encoding of single streams."""

    def __init__(self, encoding: OnnxEncoding) -> None:
        self._encoding = encoding

    def step(self, audio: np.ndarray, states: Sequence[EncoderRow | None]) -> tuple[Codes, list[EncoderRow]]:
        encoding, history = self._encoding, self._encoding.history
        befores = [EncoderRow() if state is None else state for state in states]
        layers = gather(encoding.session, [before.layers for before in befores])
        codes, unsure, layers = encoding.find(audio, layers)
        by_row = codes.reshape(len(audio), -1, codes.shape[1])
        frames = by_row.shape[1]
        after = []
        alike: dict[tuple[int, bool], list[tuple[int, np.ndarray]]] = defaultdict(list)
        for i, (before, samples) in enumerate(zip(befores, audio, strict=True)):
            past, held, at = (*before.past, samples), before.held + len(samples), before.frames + frames
            rechecked = int(unsure[i].sum())
            if rechecked:
                at_start = held * frames == at * len(samples)
                alike[held, at_start].append((i, np.concatenate(past)))
            while past and held - len(past[0]) >= (history or 0):
                held, past = held - len(past[0]), past[1:]
            after.append(EncoderRow(Row(layers, i), past, held, at, before.rechecked + rechecked))
        for (_, at_start), group in alike.items():
            rows = [i for i, _ in group]
            decided = by_row[rows]
            encoding.recheck(decided, unsure[rows], np.stack([seen for _, seen in group]), at_start=at_start)
            by_row[rows] = decided
        return encoding.canonical(by_row), after


class OnnxRowDecoder:
    """`codec.engine.RowDecoding` by the graph of a decoder."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def step(self, latents: np.ndarray, states: Sequence[Row | None]) -> tuple[np.ndarray, list[Row]]:
        audio, after = self._session.step(latents, gather(self._session, states))
        return audio[:, 0], [Row(after, i) for i in range(len(states))]


def gather(session: Session, rows: Sequence[Row | None]) -> States:
    """The states of a batch of these rows; None is a stream at its start."""
    first = rows[0]
    same = first is not None and all(
        row is not None and row.batch is first.batch and row.index == i for i, row in enumerate(rows)
    )
    if first is not None and same and len(first.batch[0]) == len(rows):
        return first.batch  # nobody came or went
    start = session.start(1)
    parts = [start if row is None else [s[row.index : row.index + 1] for s in row.batch] for row in rows]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
