"""`codec entropy learn`: the tables with which a model's token files become smaller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import report
from codec.containers import AUDIO_SUFFIXES
from codec.errors import AudioError, OutputError

if TYPE_CHECKING:
    import numpy as np

entropy = typer.Typer(no_args_is_help=True, help="Tables for the entropy coding of token files.")


@entropy.callback()
def _commands() -> None:
    """Tables for the entropy coding of token files."""


@entropy.command("learn")
def learn(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or the path of one.")],
    corpus: Annotated[
        list[str],
        typer.Argument(metavar="CORPUS", help="Recordings, or token files of the model, or folders of them."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="By default beside the weights, where codec finds them."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 4000,
    frames: Annotated[int, typer.Option(min=64, help="Frames of codes a step.")] = 512,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="Of AdamW, at its highest.")] = 3e-3,
    varied: Annotated[
        int, typer.Option(min=0, help="Copies of each recording at other speeds and levels.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = 0,
    force: options.Force = False,
) -> None:
    """Learn tables from what a model makes of a corpus; token files that it writes are then smaller.

    A token file names the tables it needs. Keep old ones beside new ones (as any NAME.entropy.npz) as long as
    files name them.
    """
    from codec import shipped
    from codec.models import store
    from codec.quantize.prices import range_of
    from codec.tokenfile.entropy.find import SUFFIX
    from codec.tokenfile.output import output as replaced
    from codec.torch_engine import torch_codec
    from codec.training.entropy import EntropyConfig, exported, learn
    from codec.training.entropy_codes import gather, vectors_of

    weights = shipped.resolve(model)
    target = weights.with_suffix(SUFFIX) if output is None else output
    if (problem := paths.check_target("-", str(target), force)) is not None:
        raise OutputError(f"{target}: {problem}")
    network, weights_hash = store.load(weights)
    found = torch_codec(network, weights_hash)
    files = [Path(item.path) for item in paths.find(corpus, AUDIO_SUFFIXES | {".cdc"}) if item.error is None]
    clips: list[np.ndarray] = []
    with progress_bar(len(files)) as bar:
        for number, item in enumerate(
            gather(found, files, varied=varied, seed=seed, prices=range_of(network.quantizer))
        ):
            bar.follow(number, str(item.path))
            clips += item.codes
            if item.error is not None:
                with bar.paused():
                    report(item.error, str(item.path))
    if not clips:
        raise AudioError("no codes to learn from: CORPUS holds no readable recordings.")
    config = EntropyConfig(steps=steps, batch_frames=frames, learning_rate=learning_rate, seed=seed)
    count = sum(len(clip) for clip in clips)
    typer.echo(f"{count:,} frames of {len(clips):,} clips; {steps:,} steps of {frames} frames")

    def told(step: int, bits: float) -> None:
        if step == 1 or step % 100 == 0 or step == steps:
            typer.echo(f"step {step:6,}: {bits:.3f} bits per code")

    trained = learn(clips, found.codebook_sizes, vectors_of(network), config, told)
    about = {"frames": str(count), "steps": str(steps), "batch_frames": str(frames), "varied": str(varied)}
    tables = exported(trained, found.name, weights_hash, about)
    with replaced(str(target)) as file:
        tables.save(file)
    size = target.stat().st_size
    typer.echo(f"{target}: tables {tables.id} for {found.name} ({weights_hash}), {size:,} bytes")
