"""Training in two processes on the CPU (gloo), started as `codec train --trainer.devices 2` starts them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.small import SmallData, fit
from tests.training.two_processes import plain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processes")
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.two_processes", str(made)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return made


def results(folder: Path, name: str) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", ["judged", "joint"])
def test_both_processes_end_with_equal_weights_and_codebooks(folder: Path, name: str) -> None:
    first, second = (result["state"] for result in results(folder, name))
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key


def test_discriminators_join_late_and_validation_is_the_same_in_both(folder: Path) -> None:
    first, second = results(folder, "judged")
    assert ["loss/discriminator" in step for step in first["steps"]] == [False, False, True, True, True]
    assert first["validation"] == second["validation"]
    assert math.isfinite(first["validation"][0]["valid/mel@3"])
    # Each had a batch of its own.
    assert first["steps"][0]["loss/mel"] != second["steps"][0]["loss/mel"]


def test_two_processes_do_what_one_does_with_the_joint_batch(folder: Path) -> None:
    module = plain()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    fit(module, 3, data=SmallData(batch_size=4, count=12))
    (both, _) = (result["state"] for result in results(folder, "joint"))
    for name, tensor in module.state_dict().items():
        if name.startswith("balancer.norm"):
            # An item's share in a mean over 4 is half of that in a mean over 2.
            tensor = 2 * tensor
        torch.testing.assert_close(both[name], tensor, rtol=1e-3, atol=1e-4, msg=f"{name} differs")
    codebook = "network.quantizer.stages.0.codebook"
    assert not torch.equal(before[codebook], both[codebook])
