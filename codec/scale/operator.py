"""What a worker does, whichever engine runs it: a shard of items becomes files in the output folder."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from codec.codec import Codec
from codec.errors import OutputError
from codec.scale.encoding import Failure, encode_items
from codec.scale.formats import Format, ShardWriter
from codec.scale.items import Shard
from codec.scale.job import Job, ModelChoice, Receipt, write_receipt
from codec.shipped import load


@dataclass(frozen=True)
class Done:
    """A shard that was done now. cpu: seconds of processor time; memory: of the worker so far, in bytes."""

    receipt: Receipt
    cpu: float
    memory: int


def tokenize_shard(job: Job, shard: Shard) -> Done:
    """Encodes a shard and writes its files, and at last its receipt.

    The files depend on the items alone. Raises OutputError when they cannot be written.
    """
    begin = time.process_time()
    model = load_model(job.model)
    temporary = job.temporary(shard.number)
    try:
        receipt = _write(job, shard, model, temporary)
        for path, target in zip(temporary, job.files(shard.number), strict=True):
            os.replace(path, target)
    except OSError as error:
        raise OutputError(f"{job.folder} cannot be written: {error.strerror or error}.") from error
    finally:
        for path in temporary:
            with suppress(OSError):
                os.unlink(path)
    write_receipt(job, receipt)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Done(receipt, time.process_time() - begin, peak)


@cache
def load_model(choice: ModelChoice) -> Codec:
    """The model, loaded once in each process, which computes on one thread."""
    if choice.runtime == "torch" and "OMP_NUM_THREADS" not in os.environ:
        import torch

        # Workers run side by side, and layers this small gain little from more threads.
        torch.set_num_threads(1)
    return load(choice.name_or_path, device=choice.device, runtime=choice.runtime)


def _write(job: Job, shard: Shard, model: Codec, paths: list[str]) -> Receipt:
    writer = _writer(job, shard.number, paths)
    rows, seconds, frames, errors = 0, 0.0, 0, []
    for found in encode_items(model, shard.items, job.rate):
        if isinstance(found, Failure):
            errors.append({"id": found.item.id, "path": found.item.path, "error": found.reason})
            continue
        writer.write(found)
        rows += 1
        seconds += found.seconds
        frames += found.codes.shape[0] * found.codes.shape[2]
    writer.close()
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    sizes = tuple(os.path.getsize(path) for path in paths)
    return Receipt(shard.number, rows, seconds, frames, sizes, tuple(errors))


def _writer(job: Job, number: int, paths: list[str]) -> ShardWriter:
    # Each brings a library of its own.
    if job.format is Format.parquet:
        from codec.scale.formats.parquet import ParquetWriter

        return ParquetWriter(paths[0], job.facts)
    if job.format is Format.tar:
        from codec.scale.formats.tar import TarWriter

        return TarWriter(paths[0], job.facts, number)
    from codec.scale.formats.npy import NpyWriter

    return NpyWriter(paths[0], paths[1], job.facts)
