"""Trains every ablation for the same number of steps, and again for the same time; prints a Markdown table.

    python recipes/ablations/run.py --root CORPUS --valid-root HELD_OUT --steps 600

Equal time: an ablation that is slower or faster than the base by more than a tenth is trained a second time,
for as many steps as fit into the base's time, so that its learning rate ends at zero there too. Time is
processor time of the training process, which other load on the machine changes little.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

HERE = Path(__file__).parent
METRICS = ("pesq", "stoi", "mel")


@dataclass(frozen=True)
class Outcome:
    """One training: its steps, the seconds of processor time they took, and figures by `metric@kbps`."""

    steps: int
    seconds: float
    figures: dict[str, float]

    @property
    def speed(self) -> float:
        """Steps per second of processor time, without start and validation."""
        return self.steps / self.seconds


def train(name: str, folder: Path, steps: int, options: list[str]) -> Outcome:
    """Trains `name`.yaml on top of base.yaml into folder; raises SystemExit when that fails."""
    override = [] if name == "base" else ["--config", str(HERE / f"{name}.yaml")]
    if name.startswith("discriminator"):
        override.append(f"--model.adversary.start_step={steps // 2}")
    command = [
        *(sys.executable, "-c", "import sys; from codec.cli import main; sys.exit(main())"),
        *("train", str(HERE / "base.yaml"), *override),
        f"--trainer.max_steps={steps}",
        # One validation, after the last step.
        f"--data.segments.batches_per_epoch={steps}",
        f"--trainer.default_root_dir={folder}",
        *options,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    took = re.search(r"([0-9.]+) s of processor time", done.stdout)
    if done.returncode or took is None:
        sys.exit(f"the ablation {name} failed")
    newest = max(folder.glob("version_*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    return Outcome(steps, float(took[1]), read_figures(newest))


def read_figures(metrics: Path) -> dict[str, float]:
    """The last validation in a run's metrics.csv."""
    found: dict[str, float] = {}
    with metrics.open() as file:
        for row in csv.DictReader(file):
            found |= {
                k.removeprefix("valid/"): float(v) for k, v in row.items() if k.startswith("valid/") and v
            }
    return found


def table(title: str, outcomes: dict[str, Outcome]) -> str:
    """The outcomes as Markdown; each cell has the figures of all bitrates, lowest first."""
    first = next(iter(outcomes.values())).figures
    rates = sorted({key.split("@")[1] for key in first}, key=float)
    at = " / ".join(rates)
    heads = ["ablation", "steps", "steps per CPU second", f"PESQ @ {at} kbps", "STOI", "mel distance"]
    lines = [f"{title}\n", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, outcome in outcomes.items():
        cells = [" / ".join(f"{outcome.figures[f'{m}@{r}']:.3f}" for r in rates) for m in METRICS]
        lines.append(f"| {name} | {outcome.steps} | {outcome.speed:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    root: Annotated[str, typer.Option(help="Recordings to train on.")],
    valid_root: Annotated[str, typer.Option(help="Recordings to measure with.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of every training.")] = 600,
    only: Annotated[list[str] | None, typer.Option(help="Ablations to run, without .yaml.")] = None,
    equal_time: Annotated[bool, typer.Option(help="Also the table of equal time.")] = True,
    folder: Annotated[Path, typer.Option(help="Where the runs go.")] = Path("runs/ablations"),
    option: Annotated[list[str] | None, typer.Option(help="More options of codec train.")] = None,
) -> None:
    """Trains the ablations and prints their tables to standard output."""
    options = [f"--data.root={root}", f"--data.valid_root={valid_root}", *(option or [])]
    names = only or sorted(path.stem for path in HERE.glob("*.yaml") if path.stem != "base")
    same_steps = {name: train(name, folder / name, steps, options) for name in ("base", *names)}
    print(table(f"Equal steps ({steps})", same_steps), flush=True)
    if not equal_time:
        return
    base = same_steps["base"]
    same_time = {"base": base}
    for name in names:
        wanted = max(1, round(base.seconds * same_steps[name].speed))
        alike = abs(wanted - steps) <= 0.1 * steps
        same_time[name] = (
            same_steps[name] if alike else train(name, folder / f"{name}_equal_time", wanted, options)
        )
    print("\n" + table(f"Equal time ({base.seconds / 60:.1f} min of processor time)", same_time))


if __name__ == "__main__":
    typer.run(main)
