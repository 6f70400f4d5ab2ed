"""What keeps one bad step from spoiling a run of days."""

from __future__ import annotations

import logging

from codec.errors import CodecError

log = logging.getLogger(__name__)


class SkipGuard:
    """Counts the steps that were skipped because a sample, a loss or a gradient was not finite.

    Args:
        limit: skipped steps in a row that end the training.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_a_row = 0
        self.total = 0

    def passed(self) -> None:
        """A step went well."""
        self._in_a_row = 0

    def skip(self, step: int, reason: str) -> None:
        """A step was skipped.

        Raises:
            CodecError: it was the last one of `limit` in a row.
        """
        self.total += 1
        self._in_a_row += 1
        log.warning("step %d skipped: %s is not finite", step, reason)
        if self._in_a_row >= self._limit:
            raise CodecError(
                f"Training stopped at step {step} because {self._in_a_row} steps in a row were not finite: "
                "lower the learning rate, and look for damaged recordings if it goes on."
            )
