"""Items to codes, many short recordings at once and long ones block by block, in bounded memory.

How recordings are put together changes how fast it is, and no code: each has exactly those of
`Codec.encode` (`Codec.encode_batch`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from codec.codec import Codec
from codec.errors import AudioError, CodecError
from codec.scale.items import Item
from codec.scale.source import Source, opened
from codec.tokens import Codes

# Longer recordings are encoded by themselves: they fill blocks without padding.
_SHORT_SECONDS = 12.0
# Of the model's audio in one batch, padding included: more no longer fits a processor's cache.
_BATCH_SECONDS = 10.0
# Read ahead, so that recordings of about one length can be put together; samples of all channels.
_WINDOW_SAMPLES = 1 << 22
_BLOCK_SECONDS = 10
# Codes of one recording, which its row has to hold in memory: 46 h of 16 codebooks at 50 frames/s.
_MAX_CODES = 1 << 27


@dataclass(frozen=True)
class Rate:
    """What to encode with: as the arguments of `Codec.encode`."""

    kbps: float | None = None
    codebooks: int | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """One recording of the dataset: codes uint16 `[channels, codebooks, frames]`."""

    item: Item
    sample_rate: int
    n_samples: int
    codes: Codes

    @property
    def seconds(self) -> float:
        return self.n_samples / self.sample_rate


@dataclass(frozen=True)
class Failure:
    """An item without codes, and one sentence that says why."""

    item: Item
    reason: str


@dataclass(frozen=True, eq=False)
class _Clip:
    """A short recording, read: audio float32 `[channels, samples]`."""

    item: Item
    sample_rate: int
    audio: np.ndarray

    @property
    def seconds(self) -> float:
        return self.audio.shape[1] / self.sample_rate


def encode_items(model: Codec, items: Iterable[Item], rate: Rate) -> Iterator[Row | Failure]:
    """A row or a failure for each item, in their order."""
    window: list[_Clip | Failure] = []
    held = 0
    for item in items:
        found = _read(model, item, rate)
        if isinstance(found, Row):
            yield from _encode_window(model, window, rate)
            window, held = [], 0
            yield found
            continue
        window.append(found)
        held += found.audio.size if isinstance(found, _Clip) else 0
        if held >= _WINDOW_SAMPLES:
            yield from _encode_window(model, window, rate)
            window, held = [], 0
    yield from _encode_window(model, window, rate)


def _read(model: Codec, item: Item, rate: Rate) -> _Clip | Row | Failure:
    """A short recording's audio, a long one's codes, or why there is neither."""
    try:
        # Of unknown length until it ends: a header may say anything, or nothing.
        with opened(item, 1 << 16) as source:
            blocks, samples = [], 0
            for block in source.blocks:
                blocks.append(block)
                samples += block.shape[1]
                if samples > _SHORT_SECONDS * source.sample_rate:
                    return _stream(model, item, source, blocks, rate)
        if not samples:
            raise AudioError(f"{item.path} has no samples, so there is nothing to encode.")
        return _Clip(item, source.sample_rate, np.concatenate(blocks, axis=1))
    except CodecError as error:
        return Failure(item, str(error))


def _stream(model: Codec, item: Item, source: Source, head: list[np.ndarray], rate: Rate) -> Row:
    stream = model.stream_encoder(
        sample_rate=source.sample_rate, channels=source.channels, kbps=rate.kbps, codebooks=rate.codebooks
    )
    blocks = chain([np.concatenate(head, axis=1)], source.blocks)
    head.clear()
    parts, size = [], 0
    for audio in _gathered(blocks, _BLOCK_SECONDS * source.sample_rate):
        parts.append(stream.push(audio))
        size += parts[-1].size
        if size > _MAX_CODES:
            hours = stream.n_samples / source.sample_rate / 3600
            raise AudioError(f"{item.path} is longer than {hours:.0f} h: cut it into parts.")
    parts.append(stream.flush())
    return Row(item, source.sample_rate, stream.n_samples, np.concatenate(parts, axis=2))


def _gathered(blocks: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """Small blocks, which let short recordings be read in little memory, as larger ones."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(part.shape[1] for part in waiting) >= samples:
            yield np.concatenate(waiting, axis=1)
            waiting = []
    if waiting:
        yield np.concatenate(waiting, axis=1)


def _encode_window(model: Codec, window: Sequence[_Clip | Failure], rate: Rate) -> Iterator[Row | Failure]:
    rows: dict[str, Row | Failure] = {}
    for batch in _batches([clip for clip in window if isinstance(clip, _Clip)]):
        rows.update((found.item.id, found) for found in _encode(model, batch, rate))
    for entry in window:
        yield entry if isinstance(entry, Failure) else rows[entry.item.id]


def _batches(clips: Sequence[_Clip]) -> Iterator[list[_Clip]]:
    """Clips of one sample rate and about one length, as many as a batch may have."""
    batch: list[_Clip] = []
    rows = 0
    for clip in sorted(clips, key=lambda clip: (clip.sample_rate, clip.seconds)):
        rows += len(clip.audio)
        # They come by rising length, so that this one says how far all are padded.
        if batch and (clip.sample_rate != batch[0].sample_rate or rows * clip.seconds > _BATCH_SECONDS):
            yield batch
            batch, rows = [], len(clip.audio)
        batch.append(clip)
    if batch:
        yield batch


def _encode(model: Codec, batch: Sequence[_Clip], rate: Rate) -> Iterator[Row | Failure]:
    try:
        found = model.encode_batch(
            [clip.audio for clip in batch], batch[0].sample_rate, kbps=rate.kbps, codebooks=rate.codebooks
        )
    except CodecError as error:
        if len(batch) == 1:
            yield Failure(batch[0].item, str(error))
        else:  # one recording's fault is not that of the others
            for clip in batch:
                yield from _encode(model, [clip], rate)
        return
    for clip, tokens in zip(batch, found, strict=True):
        yield Row(clip.item, clip.sample_rate, clip.audio.shape[1], tokens.codes)
