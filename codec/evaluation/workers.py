"""Work spread over processes, of which nothing is left when the run ends, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from codec.errors import ModelError

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_all(work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Iterator[tuple[int, Result]]:
    """The number of each task and its result, as they are done.

    Args:
        work: a function of a module, so that other processes find it.
        jobs: processes of one thread each; with 1, this process does everything itself.

    Raises:
        ModelError: a process was killed.
    """
    jobs = min(jobs, len(tasks))
    if jobs <= 1:
        for number, task in enumerate(tasks):
            yield number, work(task)
        return
    others = multiprocessing.active_children()
    # A forked process would inherit PyTorch's threads in an undefined state.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start)
    try:
        numbers = {pool.submit(work, task): number for number, task in enumerate(tasks)}
        for done in as_completed(numbers):
            yield numbers.pop(done), done.result()
    except BrokenProcessPool as error:
        raise ModelError("A worker process was killed, perhaps for its memory: use fewer of them.") from error
    except BaseException:
        # An interrupted run shall end now, and not when the recordings in work are done.
        for child in multiprocessing.active_children():
            if child not in others:
                child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    # Work that needs no PyTorch should not wait for it; where it is imported later, it looks at this.
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot end us, and we would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
