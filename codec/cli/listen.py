"""`codec listen`: a page on which one recording is heard, and seen, at all bitrates."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import options, paths
from codec.cli.loading import Loader
from codec.cli.report import printable, report
from codec.errors import AudioError, OutputError

if TYPE_CHECKING:
    import numpy as np

_MOST_SECONDS = 30.0  # a page holds every version of the sound, and is to open at once


def listen(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording.")],
    kbps: Annotated[
        str | None, typer.Option(help="Bitrates per channel, e.g. 1.5,3,6; default: the usual ones.")
    ] = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="The page; default: the recording's name with .listen.html, here."
        ),
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Listen from this second on.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(min=0, help=f"Up to this second; default: {_MOST_SECONDS:.0f} s in all.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Write the page, but open no browser.")] = False,
    force: options.Force = False,
) -> None:
    """Hear a recording at all bitrates: writes one page that works offline, and opens it."""
    begin = time.perf_counter()
    wanted = None if kbps is None else _rates(kbps)
    if end is not None and end <= start:
        raise typer.BadParameter("the end must come after the start", param_hint="--end")
    target = output or f"{'recording' if file == '-' else Path(file).stem}.listen.html"
    if (problem := paths.check_target(file, target, force)) is not None:
        raise problem
    name = "standard input" if file == "-" else os.path.basename(file)
    audio, sample_rate, more = _read(file, start, end)
    if more:
        report(f"the page holds {_MOST_SECONDS:.0f} s of it: choose others with --start and --end.", file)

    from codec.evaluation.page import render
    from codec.evaluation.page.compare import compare, sensible_kbps
    from codec.tokenfile.output import output as output_file

    loaded = Loader(device).load(model)
    found, clip = compare(loaded, audio, sample_rate, wanted or sensible_kbps(loaded), name)
    page = render(found, [clip]).encode()
    with output_file(target) as written:
        try:
            written.write(page)
        except OSError as error:
            raise OutputError(f"{target} cannot be written: {(error.strerror or '').lower()}") from error
    took = time.perf_counter() - begin
    versions = f"{len(clip.decoded)} rate{'s' if len(clip.decoded) > 1 else ''}"
    seconds = audio.shape[1] / sample_rate
    print(
        printable(f"{target}: {seconds:.2f} s at {versions}, {len(page) / 1e6:.1f} MB, made in {took:.1f} s")
    )
    if not no_open and _has_display():
        webbrowser.open(Path(target).resolve().as_uri())


def _rates(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found:
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 1.5,3,6", param_hint="--kbps")
    return found


def _read(file: str, start: float, end: float | None) -> tuple[np.ndarray, int, bool]:
    """Float32 `[channels, samples]` from start to end (s), the sample rate, and whether more was left out."""
    import numpy as np

    from codec.audio import AudioReader

    with AudioReader(file) as reader:
        first = round(start * reader.sample_rate)
        last = round((start + _MOST_SECONDS if end is None else end) * reader.sample_rate)
        blocks: list[np.ndarray] = []
        at = 0
        for block in reader.blocks(1 << 16):
            blocks.append(block[:, max(0, first - at) : max(0, last - at)])
            at += block.shape[1]
            if at > last:
                break
        kept = np.concatenate(blocks, axis=1) if blocks else np.zeros((reader.channels, 0), np.float32)
        if not kept.shape[1]:
            raise AudioError(
                f"{file} holds no sound after {start:g} s." if at else f"{file} holds no samples."
            )
        return kept, reader.sample_rate, end is None and at > last


def _has_display() -> bool:
    """Whether a browser with a window could be opened; a text browser would fill the terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
