"""The command line: `codec encode | decode | info | trim | models | eval | listen | train`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    That is 0, 1 (an input's fault), 2 (usage), 130 (interrupted) or 143 (terminated).

    arguments: those after the program's name; the process's own if not given.
    """
    _open_closed_streams()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left, as `head` does; nothing is wrong, but not all was written.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"codec: {_said(error)}", file=sys.stderr)
        return 1
    return code


def _said(error: OSError) -> str:
    # One that no system call has made, such as that of a library that does not load, has only its text.
    return f"{error.filename or 'standard output'}: {error.strerror}" if error.strerror else str(error)


def _terminate(number: int, frame: object) -> NoReturn:
    # As an exception, so that half-written outputs are removed on the way out.
    raise SystemExit(128 + number)


def _open_closed_streams() -> None:
    """Python leaves None for a stream that the caller closed (`>&-`); nobody reads or writes it, then."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _run(arguments: Sequence[str] | None) -> int:
    from codec.cli.app import application
    from codec.cli.report import is_broken_pipe, report
    from codec.errors import CodecError

    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        application(words[0] if words else None)(args=words, prog_name="codec")
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except CodecError as error:
        if is_broken_pipe(error):
            raise BrokenPipeError from error
        report(error)
        return 1
    return 0
