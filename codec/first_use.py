"""The first use of what Numba compiles, one process at a time.

In a new installation Numba compiles at the first use and keeps the result for all later processes. When
several do that at the same time, what they keep may belong to different runs of the compiler, and calling it
crashes, in every process from then on. So they take turns.
"""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path

from filelock import FileLock


def alone(what: str) -> FileLock:
    """A lock between processes, to be held while `what` is used for the first time."""
    return FileLock(Path(tempfile.gettempdir()) / f"codec-{what}-{getpass.getuser()}.lock")
