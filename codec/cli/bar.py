"""The progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import Progress

from codec.cli.batch import ProgressBar
from codec.cli.report import printable


class RichBar(ProgressBar):
    """A bar on stderr over all jobs, which moves within a job too, and is gone at the end."""

    def __init__(self, jobs: int) -> None:
        # Standard output may carry audio, which must not go through rich.
        self._bar = Progress(
            console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._bar.add_task("", total=jobs)

    def follow(self, number: int, name: str) -> Callable[[float, float | None], None]:
        shown = printable(name).replace("[", r"\[")
        self._bar.update(self._task, completed=number, description=shown)

        def advance(done: float, total: float | None) -> None:
            if total:
                self._bar.update(self._task, completed=number + min(1.0, done / total))
            else:
                self._bar.update(self._task, description=f"{shown} {done:.0f} s")

        return advance

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._bar.stop()
        yield
        self._bar.start()

    def __enter__(self) -> RichBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
