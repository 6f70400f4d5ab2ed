"""States of many streams as rows of the state of one batch: rows join, leave and pause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from codec.nn.sequential import State


@dataclass(frozen=True, eq=False)
class Row:
    """The state of one stream: a row of the state of the batch that it was last computed in."""

    batch: State
    index: int

    def alone(self) -> Row:
        """The same, without keeping the other rows' memory alive: for a stream that pauses."""
        return Row(_pick(self.batch, self.index), 0)


def gather(rows: Sequence[Row | None]) -> State:
    """The state of a batch of these rows; None is a stream at its start.

    Zeros are the start of every layer: what it remembers before its first input is silence.
    """
    first = rows[0]
    if first is not None and all(
        row is not None and row.batch is first.batch and row.index == i for i, row in enumerate(rows)
    ):
        size = _size(first.batch)
        if size == len(rows):
            return first.batch  # nobody came or went
    return _gather([None if row is None else _view(row.batch, row.index) for row in rows])


def _gather(states: Sequence[State]) -> State:
    like = next((state for state in states if state is not None), None)
    if isinstance(like, torch.Tensor):
        zeros = torch.zeros_like(like)
        return torch.cat([state if isinstance(state, torch.Tensor) else zeros for state in states])
    if like is None:
        return None
    return tuple(
        _gather([state[i] if isinstance(state, tuple) else None for state in states])
        for i in range(len(like))
    )


def _view(state: State, index: int) -> State:
    if isinstance(state, torch.Tensor):
        return state[index : index + 1]
    return None if state is None else tuple(_view(part, index) for part in state)


def _pick(state: State, index: int) -> State:
    if isinstance(state, torch.Tensor):
        return state[index : index + 1].clone()
    return None if state is None else tuple(_pick(part, index) for part in state)


def _size(state: State) -> int | None:
    """Rows of a batch's state; None when no layer remembers anything."""
    if isinstance(state, torch.Tensor):
        return len(state)
    sizes = (_size(part) for part in state or ())
    return next((size for size in sizes if size is not None), None)
