"""Debug twins of the recipes, run inside this process."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from codec.training.run import run

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"


def twin(name: str) -> list[str]:
    """Arguments of `codec train` for the debug twin of a recipe, from any working directory."""
    samples = ROOT / "samples"
    return [
        str(RECIPES / f"{name}.yaml"),
        f"--config={RECIPES / 'debug' / f'{name}.yaml'}",
        f"--data.root={samples}",
        f"--data.valid_root={samples}",
    ]


def train(folder: Path, arguments: list[str], *options: str) -> Path:
    """Trains into folder; returns the new run's own folder."""
    precision = torch.get_float32_matmul_precision()
    before = set(folder.glob("version_*"))
    try:
        run([*arguments, f"--trainer.default_root_dir={folder}", *options])
    finally:
        torch.set_float32_matmul_precision(precision)
    (made,) = set(folder.glob("version_*")) - before
    return made


def rows(folder: Path, column: str) -> dict[int, float]:
    """The values of a column of a run's metrics.csv by step."""
    with (folder / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[column]) for row in csv.DictReader(file) if row.get(column)}


def steps_in(checkpoint: Path) -> int:
    """Steps that a checkpoint holds."""
    return int(torch.load(checkpoint, weights_only=True)["global_step"])
