"""`codec quantizers`: the quantization systems, what makes bitrates in between, and their comparison."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.quantizers_check import check
from codec.cli.report import missing_extra, report
from codec.containers import AUDIO_SUFFIXES
from codec.errors import AudioError, ConfigError, OutputError

if TYPE_CHECKING:
    import torch

    from codec.models.network import CodecNetwork
    from codec.quantize import Quantizer
    from codec.variable import Price

quantizers = typer.Typer(
    help="Quantization systems: list, compare and check them; smaller codebooks of a model."
)
quantizers.command("check")(check)

# Seconds of recordings that variable bitrates are measured on, at least.
_SENTENCE = 4.0

Corpus = Annotated[
    list[str],
    typer.Argument(metavar="CORPUS", help="Recordings, or folders of them."),
]


@quantizers.callback(invoke_without_command=True)
def listed(context: typer.Context) -> None:
    """List the quantization systems; those with bits are selected by recipes/quantizers/NAME.yaml."""
    if context.invoked_subcommand is not None:
        return
    from codec.quantize.catalogue import SYSTEMS

    rows = [
        [item.name, f"{item.bits:.0f} bits" if item.config is not None else "-", item.source, item.line]
        for item in SYSTEMS
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())


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
    priced: Annotated[
        float, typer.Option(min=1, help="Seconds of it to measure variable bitrates on, at most.")
    ] = 300.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the clustering and the choice of recordings.")] = 0,
    force: options.Force = False,
) -> None:
    """Make smaller codebooks out of a model's own, and prices for variable bitrates.

    Needs no training: entries are clustered, weighted by how often the corpus uses them (RAQ). What a code
    must gain at a variable bitrate is found by encoding the corpus, if the model can skip codes; this needs
    the tables that `codec entropy learn` makes.
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
    names = [item.path for item in paths.find(corpus, AUDIO_SUFFIXES) if item.error is None]
    usage, frames = None, 0
    heard: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
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
                # Single words are mostly silence, unlike speech.
                (heard if len(row) >= _SENTENCE * network.config.frame_rate else others).append(row)
                frames += len(row)
            if frames >= most:
                break
    if usage is None:
        raise AudioError("nothing to count codes in: CORPUS holds no readable recordings.")
    assignments = smaller_codebooks(network.quantizer, usage, wanted, seed)
    prices = _prices(network, weights, weights_hash, heard or others, priced)
    made = files.Rates(weights_hash, [used.float().numpy() for used in usage], assignments, prices)
    files.save(made, target)
    typer.echo(
        f"{target}: smaller codebooks for {network.config.name} ({weights_hash}), from {frames:,} frames, "
        f"{target.stat().st_size:,} bytes"
    )
    for kbps, price, codebooks in prices:
        typer.echo(f"  variable, {kbps:5.2f} kbps: price {price:.3g}, {codebooks} codebooks")


def _prices(
    network: CodecNetwork, weights: Path, weights_hash: str, rows: list[torch.Tensor], seconds: float
) -> tuple[Price, ...]:
    from codec.evaluation.variable import prices_of
    from codec.quantize.prices import range_of
    from codec.tokenfile import tables_beside

    if range_of(network.quantizer) is None:
        return ()
    tables = tables_beside(weights, weights_hash)
    if tables is None:
        report("variable bitrates are left out: codec entropy learn makes the tables that they need.")
        return ()
    ends = np.cumsum([len(row) for row in rows])
    some = rows[: 1 + int(np.searchsorted(ends, seconds * network.config.frame_rate))]
    return prices_of(network, weights_hash, some, tables)


@quantizers.command("latents")
def latents(
    model: Annotated[str, typer.Argument(help="A model, best one that was trained without quantizing.")],
    corpus: Corpus,
    test: Annotated[list[str], typer.Option(metavar="CORPUS", help="Other recordings, to measure with.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.safetensors")],
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the recordings.")] = 0,
    force: options.Force = False,
) -> None:
    """Write the latents of recordings, for `codec quantizers compare`: the same for every system."""
    from codec import shipped
    from codec.evaluation.latents import latents_of, save
    from codec.models import store

    if (problem := paths.check_target("-", str(output), force)) is not None:
        raise OutputError(f"{output}: {problem}")
    weights = shipped.resolve(model)
    network, weights_hash = store.load(weights)
    parts = []
    for where in (corpus, test):
        names = [item.path for item in paths.find(where, AUDIO_SUFFIXES) if item.error is None]
        rows: list[torch.Tensor] = []
        with progress_bar(len(names)) as bar:
            for number, item in enumerate(latents_of(network, names, seed=seed)):
                bar.follow(number + 1, item.path)
                rows += item.rows
                if item.error is not None:
                    with bar.paused():
                        report(item.error, item.path)
        if not rows:
            raise AudioError(f"{', '.join(where)} holds no readable recordings.")
        parts.append(rows)
    train_frames, test_frames = save(output, parts[0], parts[1], weights_hash)
    typer.echo(f"{output}: {train_frames:,} frames to fit to and {test_frames:,} to measure with")


@quantizers.command("compare")
def compare(
    latents: Annotated[Path, typer.Argument(metavar="LATENTS", help="What codec quantizers latents wrote.")],
    systems: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these of codec quantizers list.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Training steps of every system.")] = 300,
    batch_frames: Annotated[int, typer.Option(min=64, help="Latent frames a step.")] = 2048,
    start_frames: Annotated[int, typer.Option(min=1, help="Frames that codebooks start from.")] = 100_000,
    test_frames: Annotated[int, typer.Option(min=1, help="Frames to measure with, at most.")] = 1_000_000,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Keep figures here; what it holds is not measured again."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Error, speed and PESQ of all; PNG or SVG.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The auto-encoder of the latents, to tune its decoder for each system.")
    ] = None,
    train: Annotated[
        list[str] | None, typer.Option(metavar="CORPUS", help="Recordings to tune the decoder with.")
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(metavar="CORPUS", help="Recordings to measure PESQ, STOI and mel with."),
    ] = None,
    tune_steps: Annotated[int, typer.Option(min=1, help="Steps of tuning the decoder.")] = 150,
) -> None:
    """Fit every system to the same latents at equal bits, and print what each makes of others."""
    from dataclasses import asdict, replace

    from codec.evaluation import quantizers as protocol
    from codec.evaluation.latents import load
    from codec.quantize.catalogue import configured

    known = configured()
    names = list(known) if systems is None else systems.split(",")
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--systems")
    if (model is None) != (train is None) or (model is None) != (valid is None):
        raise typer.BadParameter("give --model, --train and --valid, or none of them", param_hint="--model")
    corpus = load(latents)
    budget = protocol.Budget(steps, batch_frames, start_frames=start_frames, test_frames=test_frames)
    tuning = (
        None if model is None else _Tuning(model, train or [], valid or [], tune_steps, corpus.weights_hash)
    )
    key: dict[str, object] = {
        "latents": corpus.weights_hash,
        "budget": asdict(budget),
        "tune": None if tuning is None else tune_steps,
    }
    results = protocol.Results(journal, key)
    rows = {name: row for name, row in results.known().items() if name in names}
    fitting = protocol.Fitting(corpus.train, budget)
    for name in names:
        if name in rows:
            continue
        quantizer, row = protocol.run(known[name], corpus, fitting, budget.test_frames)
        if tuning is not None:
            row = replace(row, audio=tuning.audio(quantizer))
        results.add(row)
        rows[name] = row
        line = f"{name}: {row.nmse_db:.2f} dB, {100 * row.usage:.0f} % used, {row.fit_seconds:.0f} s"
        typer.echo(line, err=True)
    _print(protocol.table(rows.values()))
    if plot is not None:
        try:
            protocol.plot(list(rows.values()), plot)
        except ImportError as error:
            raise missing_extra("eval", error) from error


class _Tuning:
    """The decoder's part of a comparison: the same audio for every system."""

    def __init__(self, model: str, train: list[str], valid: list[str], steps: int, weights_hash: str) -> None:
        from codec import shipped
        from codec.models import store
        from codec.training.decoder_tune import segments

        self._steps = steps
        self._network, found = store.load(shipped.resolve(model))
        if found != weights_hash:
            raise ConfigError(
                f"The latents are those of the weights {weights_hash}, not of {model} ({found})."
            )
        own = [item.path for item in paths.find(train, AUDIO_SUFFIXES) if item.error is None]
        random.Random(0).shuffle(own)
        self._audio = segments(own, self._network.config.sample_rate, 1.0, 8 * steps)
        self._valid = [item.path for item in paths.find(valid, AUDIO_SUFFIXES) if item.error is None]

    def audio(self, quantizer: Quantizer) -> dict[str, float]:
        """Figures of the validation recordings with this quantizer and a decoder tuned for it."""
        from codec.training.decoder_tune import heard, tuned

        return heard(tuned(self._network, quantizer, self._audio, self._steps), self._valid)


def _print(lines: list[list[str]]) -> None:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    for line in lines:
        cells = [
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 2 or sizes[-1] > 65536:
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 64,128", param_hint="--sizes")
    return sizes
