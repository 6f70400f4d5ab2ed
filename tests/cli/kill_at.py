"""Runs a command again and again, and kills it at a given moment each time.

    echo '{"arguments": ["encode", ...], "moments": [...], "outputs": [...]}' | python -m tests.cli.kill_at

The model is loaded once, before the processes are forked, so that they spend their time encoding. A moment
is a share of the time that the command takes when it is left alone. Standard output of run k goes to
outputs[k], and that of the first, undisturbed run to outputs[0]. "{k}" in an argument is the run's number.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import torch

import codec
from codec.cli import main
from codec.cli.loading import Loader


def start(arguments: list[str], output: str, run: int) -> int:
    """The process id of `codec` with these arguments."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        code = main([argument.replace("{k}", str(run)) for argument in arguments])
    finally:
        os._exit(code)


def run_all() -> None:
    job = json.load(sys.stdin)
    torch.set_num_threads(1)
    model = codec.load()
    Loader.load = lambda self, name_or_path: model  # type: ignore[method-assign]
    begin = time.perf_counter()
    _, status = os.waitpid(start(job["arguments"], job["outputs"][0], 0), 0)
    took = time.perf_counter() - begin
    assert status == 0, status
    for run, moment in enumerate(job["moments"], 1):
        child = start(job["arguments"], job["outputs"][run], run)
        time.sleep(moment * took)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    run_all()
