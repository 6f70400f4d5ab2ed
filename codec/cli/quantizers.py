"""`codec quantizers`: the quantization systems, what makes bitrates in between, and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import report
from codec.errors import AudioError, OutputError

quantizers = typer.Typer(help="Quantization systems: list, compare, and smaller codebooks of a model.")

Corpus = Annotated[
    list[str],
    typer.Argument(metavar="CORPUS", help="Recordings, or folders of them."),
]


@quantizers.command("rates")
def rates(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or the path of one.")],
    corpus: Corpus,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="By default beside the weights, where codec finds them."
        ),
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Sizes that every codebook can have besides its own.")
    ] = "64,128,256,512",
    seconds: Annotated[float, typer.Option(min=1, help="Audio to count codes in, at most.")] = 3600.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the clustering and the choice of recordings.")] = 0,
    force: options.Force = False,
) -> None:
    """Make smaller codebooks out of a model's own, for bitrates between those of whole codebooks.

    Needs no training: entries are clustered, weighted by how often the corpus uses them (RAQ).
    """
    from codec import shipped
    from codec.evaluation.latents import latents_of
    from codec.models import rates as files
    from codec.models import store
    from codec.quantize.rates import smaller_codebooks, usage_of

    wanted = _sizes(sizes)
    weights = shipped.resolve(model)
    target = weights.with_suffix(files.SUFFIX) if output is None else output
    if (problem := paths.check_target("-", str(target), force)) is not None:
        raise OutputError(f"{target}: {problem}")
    network, weights_hash = store.load(weights)
    names = [item.path for item in paths.find(corpus, paths.AUDIO_SUFFIXES) if item.error is None]
    usage, frames = None, 0
    most = int(seconds * network.config.sample_rate / network.config.hop_length)
    with progress_bar(len(names)) as bar:
        for number, item in enumerate(latents_of(network, names, seed=seed)):
            bar.follow(number + 1, item.path)
            if item.error is not None:
                with bar.paused():
                    report(item.error, item.path)
                continue
            for row in item.rows:
                found = usage_of(network.quantizer, row.T[None])
                usage = found if usage is None else [a + b for a, b in zip(usage, found, strict=True)]
                frames += len(row)
            if frames >= most:
                break
    if usage is None:
        raise AudioError("nothing to count codes in: CORPUS holds no readable recordings.")
    assignments = smaller_codebooks(network.quantizer, usage, wanted, seed)
    made = files.Rates(weights_hash, [used.float().numpy() for used in usage], assignments)
    files.save(made, target)
    typer.echo(
        f"{target}: smaller codebooks for {network.config.name} ({weights_hash}), from {frames:,} frames, "
        f"{target.stat().st_size:,} bytes"
    )


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 2 or sizes[-1] > 65536:
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 64,128", param_hint="--sizes")
    return sizes
