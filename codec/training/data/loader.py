"""Batches in an order that depends on the seed alone: not on workers, ranks, or where a run was resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from codec.errors import ConfigError


class Keys(Sampler[list[tuple[int, int]]]):
    """The keys (epoch, index) of an epoch's batches for one rank, from batch number `position` on.

    Batches are numbered through all epochs. Number n has, over all ranks, the items that one process with the
    joint batch would have; rank r takes the r-th part.
    """

    def __init__(self, batches: int, batch_size: int, rank: int, world: int) -> None:
        self.batches, self.position = batches, 0
        self._batch_size, self._rank, self._world = batch_size, rank, world

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for number in range(self.position, self.position + self.batches):
            epoch, batch = divmod(number, self.batches)
            first = (batch * self._world + self._rank) * self._batch_size
            yield [(epoch, first + i) for i in range(self._batch_size)]


class SegmentLoader:
    """Batches `[batch, channels, samples]`, `batches` a pass, that go on where the last pass or run stopped.

    It is no DataLoader, so that Lightning leaves its order alone, and has the `state_dict` that Lightning
    saves and restores with its loops: the number of batches handed out. A pass is always `batches` long: when
    resumed in the middle of an epoch, Lightning takes the rest of that epoch from it and then asks anew.
    A loader begins with `epoch`, which is not 0 where Lightning makes a new one every epoch.

    Raises (load_state_dict):
        ConfigError: the state is of a run with other epochs, whose batches are not these.
    """

    def __init__(
        self,
        segments: Dataset[torch.Tensor],
        batches: int,
        batch_size: int,
        *,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        epoch: int = 0,
    ) -> None:
        self._keys = Keys(batches, batch_size, rank, world)
        self._batch_size, self._world = batch_size, world
        self._loader: DataLoader[torch.Tensor] = DataLoader(
            segments,
            batch_sampler=self._keys,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Without one of its own a loader would draw from the generator that dropout and others use.
            generator=torch.Generator(),
        )
        self._position = epoch * batches

    def __len__(self) -> int:
        return self._keys.batches

    def __iter__(self) -> Iterator[torch.Tensor]:
        self._keys.position = self._position
        for batch in self._loader:
            # Before it is handed out: a checkpoint is saved while the batch is with the trainer.
            self._position += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The number of batches handed out, and what that number means."""
        return {
            "position": self._position,
            "batches": len(self),
            "items": self._batch_size * self._world,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on after the batches that a saved loader had handed out."""
        if state["batches"] != len(self) or state["items"] != self._batch_size * self._world:
            raise ConfigError(
                f"The checkpoint has epochs of {state['batches']} batches of {state['items']} segments over "
                f"all processes, this run {len(self)} of {self._batch_size * self._world}: resume with the "
                f"same, or start a new run from the weights alone."
            )
        self._position = int(state["position"])


class ClipLoader:
    """Whole clips, one a batch, shared out to the ranks; the last ones repeat the first where it is uneven.

    All ranks have the same number of batches, so that none waits for another in a reduction.
    """

    def __init__(self, clips: Dataset[torch.Tensor], count: int, rank: int = 0, world: int = 1) -> None:
        steps = -(-count // world)
        self._indices = [(step * world + rank) % count for step in range(steps)] if count else []
        self._clips = clips

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for index in self._indices:
            yield self._clips[index][None]


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items (all, if there are fewer), evenly spaced."""
    step = max(1, len(items) // max(1, count))
    return list(items[::step][:count])
