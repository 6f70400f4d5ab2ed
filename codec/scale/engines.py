"""Who does the shards: processes of this machine, or the actors of a Ray cluster."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from codec.errors import CodecError, ConfigError, ModelError
from codec.evaluation.workers import run_all
from codec.scale.items import Shard
from codec.scale.job import Job
from codec.scale.operator import Done, tokenize_shard

# A cluster that is to start here gets so many chances.
_ATTEMPTS = 3


class Engine(Protocol):
    """Does shards in any order."""

    @property
    def workers(self) -> int: ...

    def run(self, job: Job, shards: Sequence[Shard]) -> Generator[Done, None, None]:
        """Each shard as it is done. Closing the iterator ends the work."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """So many processes of one thread each; with one, this process does everything itself."""

    workers: int

    def run(self, job: Job, shards: Sequence[Shard]) -> Generator[Done, None, None]:
        for _, done in run_all(partial(tokenize_shard, job), shards, self.workers):
            yield done


@dataclass(frozen=True)
class RayEngine:
    """Actors of Ray Data, on the cluster at `address` or on one that is started here and ends with the run.

    On several machines the output folder, and the inputs that are paths, must be on a disk that all share.
    """

    workers: int
    address: str | None = None

    def run(self, job: Job, shards: Sequence[Shard]) -> Generator[Done, None, None]:
        with cluster(self.address, self.workers):
            import ray

            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            # A row is a whole shard: it is handed on as soon as it is done, and none is done ahead.
            work = [{"work": pickle.dumps((job, shard))} for shard in shards]
            rows = ray.data.from_items(work, override_num_blocks=len(shards))
            done = rows.map(
                _Actor,  # type: ignore[arg-type]
                compute=ray.data.ActorPoolStrategy(size=min(self.workers, len(shards))),
                num_cpus=1,
            )
            try:
                for row in done.iter_rows():
                    found = pickle.loads(row["found"])
                    if isinstance(found, CodecError):
                        raise found
                    yield found
            except ray.exceptions.RayError as error:
                raise ModelError(f"A worker of Ray failed: {str(error).splitlines()[0]}") from error


class _Actor:
    """The operator of the local engine, on Ray; as a class, since only these stay, and keep the model."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        found: Done | CodecError
        try:
            found = tokenize_shard(*pickle.loads(row["work"]))
        except CodecError as error:  # as a value: Ray would wrap it, and might try again
            found = error
        return {"found": pickle.dumps(found)}


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[None]:
    """A cluster to work on; one that is there already, in this process too, is left as it is."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError('Ray is not installed: pip install "codec[scale]" brings it.') from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    _connect(address, workers)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    for attempt in range(_ATTEMPTS):
        try:
            if address is None:
                ray.init(num_cpus=workers, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
            return
        except Exception as error:  # where a busy machine does not start it in time, it is just that
            ray.shutdown()
            if address is not None or attempt == _ATTEMPTS - 1:
                where = address or "this machine"
                reason = str(error).splitlines()[0].rstrip(".")
                raise ConfigError(f"There is no Ray cluster at {where}: {reason}.") from error
