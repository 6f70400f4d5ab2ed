"""Options that several commands share, and what their values mean."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer


class RuntimeName(str, Enum):
    """What computes."""

    auto = "auto"
    torch = "torch"
    onnx = "onnx"


Kbps = Annotated[float | None, typer.Option(help="Bitrate, in kilobits per second and channel.")]
Codebooks = Annotated[int | None, typer.Option(help="Number of codebooks, instead of --kbps.")]
Vbr = Annotated[
    float | None,
    typer.Option(
        help="Variable bitrate: kilobits per second and channel of a file of speech, on average; more where "
        "there is something to say, and less in silence. Instead of --kbps."
    ),
]
Model = Annotated[str | None, typer.Option(help="A shipped model's name, or the path of one.")]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, mps, ...")]
Runtime = Annotated[
    RuntimeName,
    typer.Option(help="What computes: onnx starts faster and is chosen where it is installed and can."),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace outputs that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a file, on a line each.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="A file for one input, a folder for several; - is standard output."),
]


def one_rate(kbps: float | None, codebooks: int | None, vbr: float | None = None) -> None:
    """A usage error when several ways to choose the bitrate are used."""
    if kbps is not None and codebooks is not None:
        raise typer.BadParameter("give either --kbps or --codebooks, not both", param_hint="--codebooks")
    if vbr is not None and (kbps is not None or codebooks is not None):
        raise typer.BadParameter(
            "give --vbr, --kbps or --codebooks, and only one of them", param_hint="--vbr"
        )


def numbers(text: str, option: str, lowest: float, highest: float) -> list[float]:
    """Numbers between commas; a usage error of the option unless all are from lowest to highest."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(lowest <= number <= highest for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers from {lowest:g} to {highest:g}", param_hint=option
        )
    return numbers
