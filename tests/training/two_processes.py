"""A program that trains twice in two processes and leaves each process's weights in a folder.

    python -m tests.training.two_processes FOLDER

`judged`: discriminators, quantizer dropout, restarts and validation, as recipes have them. `joint`: without
them, where two processes must do what one does with the joint batch.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from codec.training.module import CodecTraining
from tests.training.small import CODEC, PERIOD, QUANTIZER, SmallData, fit, judged, training


def plain() -> CodecTraining:
    """A training in which nothing is random and every loss is a mean over the batch."""
    quantizer = dataclasses.replace(QUANTIZER, dropout=0.0, restart_below=0.0)
    return training(codec=dataclasses.replace(CODEC, quantizer=quantizer))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    options: dict[str, Any] = {"devices": 2, "strategy": "ddp"}
    first = training(adversary=judged(2, period=PERIOD))
    _, log = fit(first, 5, data=SmallData(count=12), validate=True, **options)
    rank = distributed.get_rank()
    torch.save(
        {"state": first.state_dict(), "validation": log.validation, "steps": log.steps},
        folder / f"judged_{rank}.pt",
    )
    second = plain()
    fit(second, 3, data=SmallData(count=12), **options)
    torch.save({"state": second.state_dict()}, folder / f"joint_{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
