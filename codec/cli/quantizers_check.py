"""`codec quantizers check`: distributions of latents and codebooks, and what codes tell of the sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import missing_extra, report
from codec.containers import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from codec.evaluation.meaning import Meaning
    from codec.quantize.analysis import Tested


def check(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or the path of one.")],
    clips: Annotated[list[str], typer.Argument(metavar="CLIPS", help="Recordings, or folders of them.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the projections, clusters and shuffles.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Test distributions on random projections (DERP), and measure what codes tell of the sound."""
    from codec import shipped
    from codec.models import store

    try:
        from codec.evaluation.meaning import CAVEATS, MeaningCheck
    except ImportError as error:
        if (error.name or "").startswith("codec"):
            raise
        raise missing_extra("eval", error) from error
    network, _ = store.load(shipped.resolve(model))
    found = paths.find(clips, AUDIO_SUFFIXES)
    for item in found:
        if item.error is not None:
            report(item.error, item.path)
    names = [item.path for item in found if item.error is None]
    collected = MeaningCheck(network.eval(), seed=seed)
    with progress_bar(len(names)) as bar:
        for number, problem in enumerate(collected.add(names)):
            bar.follow(number + 1, names[number])
            if problem is not None:
                with bar.paused():
                    report(problem, names[number])
    meaning = collected.meaning()
    if as_json:
        from dataclasses import asdict

        print(json.dumps({"model": str(Path(model).name), **asdict(meaning)}))
        return
    _tell(meaning, CAVEATS)


def _tell(meaning: Meaning, caveats: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 110))

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    say(
        f"{meaning.recordings} recordings, {meaning.frames:,} frames of codes, {meaning.tested_frames} tested"
    )
    say(f"latents against a normal distribution: {_tested(meaning.normal)}")
    say(f"latents of one half of the recordings against the other: {_tested(meaning.halves)}")
    say(caveats[0])
    names = list(meaning.stages[0].told)
    table = Table(box=None, padding=(0, 2, 0, 0))
    kept = ("kept: shift", "gain", "noise", "by chance")
    for heading in ("stage", "fit", "p", *kept, *names):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in meaning.stages:
        fit = ("-", "-") if stage.fit is None else (f"{stage.fit.statistic:.2f}", f"{stage.fit.p_value:.0e}")
        table.add_row(
            str(stage.stage),
            *fit,
            *(f"{100 * share:.1f} %" for share in (*stage.stable, stage.stable_by_chance)),
            *(f"{stage.told[name].bits:.2f} ({stage.told[name].chance:.2f})" for name in names),
        )
    most = ", ".join(f"{name} {meaning.stages[0].told[name].most:.1f}" for name in names)
    console.print(table, highlight=False)
    say(f"Kept: codes after small changes. {', '.join(names)}: bits told (by chance); there are {most}.")
    for caveat in caveats[1:]:
        say(caveat)


def _tested(found: Tested) -> str:
    return f"statistic {found.statistic:.3f}, p = {found.p_value:.2g}"
