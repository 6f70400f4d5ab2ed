"""The common protocol: every quantization system fitted to the same latents, and measured on others."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from codec.errors import ConfigError, OutputError
from codec.evaluation.health import entropy
from codec.evaluation.latents import Corpus
from codec.quantize import Quantizer, ResidualConfig, build_quantizer
from codec.quantize.catalogue import System
from codec.quantize.config import EuclideanConfig, QuantizerConfig
from codec.quantize.fit import fit

# Frames encoded at once: a multiple of every stride, and little memory for beams.
_AT_ONCE = 1024


@dataclass(frozen=True)
class Budget:
    """What every system has to learn from.

    steps: training steps after the start. batch_frames: latent frames a step, drawn from all of them.
    start_frames: the first of them, which codebooks start from. test_frames: to measure with, at most.
    """

    steps: int = 300
    batch_frames: int = 2048
    rate: float = 1e-3
    start_frames: int = 100_000
    test_frames: int = 1_000_000
    seed: int = 0


@dataclass(frozen=True)
class Figures:
    """What one system achieved.

    bits: per frame of latents. nmse_db: squared error over squared test latents. usage: share of codes that
    the test latents choose, mean over codebooks, and least_usage of the worst one. perplexity: 2^entropy,
    mean over codebooks. entropy: order 0, bits per frame of latents.
    frames_per_second: encoded, by one process.
    audio: PESQ and so on after the decoder was tuned, by name; empty if it was not.
    """

    system: str
    bits: float
    nmse_db: float
    usage: float
    least_usage: float
    perplexity: float
    entropy: float
    frames_per_second: float
    fit_seconds: float
    train_frames: int
    test_frames: int
    audio: dict[str, float]


def fitted(config: QuantizerConfig, train: torch.Tensor, budget: Budget) -> Quantizer:
    """The quantizer after its start and its training on latents `[frames, dim]`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(budget.seed)
        quantizer = build_quantizer(config, train.shape[1])
    generator = torch.Generator().manual_seed(budget.seed)
    first = train[: budget.start_frames // quantizer.stride * quantizer.stride]
    quantizer.start(first.T[None].contiguous(), generator)
    if not _is_frozen(config):
        fit(
            quantizer,
            train.T[None],
            steps=budget.steps,
            batch_frames=budget.batch_frames,
            rate=budget.rate,
            seed=budget.seed,
        )
    return quantizer.eval()


@torch.inference_mode()
def measured(
    system: System, quantizer: Quantizer, train_frames: int, test: torch.Tensor, fit_seconds: float
) -> Figures:
    """The figures of a fitted system on latents `[frames, dim]`."""
    stride = quantizer.stride
    used = test[: len(test) // stride * stride]
    error = power = seconds = 0.0
    counts = [torch.zeros(size, dtype=torch.long) for size in quantizer.codebook_sizes]
    for part in used.split(_AT_ONCE // stride * stride):
        z = part.T[None].contiguous()
        begin = time.perf_counter()
        codes = quantizer.encode(z).codes
        seconds += time.perf_counter() - begin
        error += float((z - quantizer.decode(codes)).double().square().sum())
        power += float(z.double().square().sum())
        for k, count in enumerate(counts):
            count += torch.bincount(codes[0, k], minlength=len(count))
    shares = [float((count > 0).double().mean()) for count in counts]
    entropies = [entropy(count.numpy()) for count in counts]
    return Figures(
        system=system.name,
        bits=system.bits,
        nmse_db=10 * math.log10(max(error, 1e-30) / power),
        usage=float(np.mean(shares)),
        least_usage=min(shares),
        perplexity=float(np.mean([2**value for value in entropies])),
        entropy=sum(entropies) / stride,
        frames_per_second=len(used) / seconds,
        fit_seconds=fit_seconds,
        train_frames=train_frames,
        test_frames=len(used),
        audio={},
    )


def run(system: System, corpus: Corpus, budget: Budget) -> tuple[Quantizer, Figures]:
    """Fits and measures one system; raises ConfigError for one without a configuration."""
    if system.config is None:
        raise ConfigError(f"{system.name} is no quantizer that can be compared: {system.line}.")
    begin = time.perf_counter()
    quantizer = fitted(system.config, corpus.train, budget)
    seconds = time.perf_counter() - begin
    test = corpus.test[: budget.test_frames]
    return quantizer, measured(system, quantizer, len(corpus.train), test, seconds)


class Results:
    """Figures in a file of JSON lines, one as soon as it is there: an interrupted comparison goes on.

    path: of the file; None keeps nothing. key: what figures depend on besides the system; lines of other keys
    are left alone.
    """

    def __init__(self, path: Path | None, key: dict[str, object]) -> None:
        self._path, self._key = path, json.loads(json.dumps(key))

    def known(self) -> dict[str, Figures]:
        """The figures so far, by system; a last line that an interruption cut off is passed over."""
        found: dict[str, Figures] = {}
        lines = self._path.read_text().splitlines() if self._path is not None and self._path.is_file() else []
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["key"] == self._key:
                    found[entry["figures"]["system"]] = Figures(**entry["figures"])
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def add(self, figures: Figures) -> None:
        """Keeps figures; raises OutputError."""
        if self._path is None:
            return
        try:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": self._key, "figures": asdict(figures)}) + "\n")
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error}.") from error


AUDIO = ("pesq_wb", "stoi", "mel_distance")


def table(rows: Iterable[Figures]) -> list[list[str]]:
    """The rows as text under headings, the lowest error first."""
    ordered = sorted(rows, key=lambda row: row.nmse_db)
    heads = ["system", "bits", "NMSE dB", "usage", "least", "perplexity", "entropy", "frames/s", "fit s"]
    heard = [name for name in AUDIO if any(name in row.audio for row in ordered)]
    lines = [[*heads, *heard]]
    for row in ordered:
        cells = [
            row.system,
            f"{row.bits:.1f}",
            f"{row.nmse_db:.2f}",
            f"{100 * row.usage:.0f} %",
            f"{100 * row.least_usage:.0f} %",
            f"{row.perplexity:.0f}",
            f"{row.entropy:.1f}",
            f"{row.frames_per_second:,.0f}",
            f"{row.fit_seconds:.0f}",
        ]
        lines.append([*cells, *(f"{row.audio[name]:.3f}" if name in row.audio else "" for name in heard)])
    return lines


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of `table` as Markdown."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    rule = "|---|" + "---:|" * (len(lines[0]) - 1)
    return "\n".join([rows[0], rule, *rows[1:]]) + "\n"


def plot(rows: Sequence[Figures], path: Path) -> None:
    """Error against encode speed, a point a system, as PNG or SVG by the suffix; raises OutputError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
    for row in rows:
        axes.plot(row.frames_per_second, row.nmse_db, "o", color="C0")
        axes.annotate(
            row.system,
            (row.frames_per_second, row.nmse_db),
            xytext=(5, 3),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(
        xscale="log", xlabel="frames encoded per second, one process", ylabel="NMSE in dB, lower is better"
    )
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error
    finally:
        pyplot.close(figure)


def _is_frozen(config: QuantizerConfig) -> bool:
    return (
        isinstance(config, ResidualConfig)
        and isinstance(config.lookup, EuclideanConfig)
        and config.lookup.learning == "frozen"
    )
