"""What all plots share: scales, ticks, markers, and the colours of a plot that stands alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from codec.evaluation.page.text import escape
from codec.evaluation.page.theme import plot_colours

SERIES = 8  # colours, markers and dashes there are; further series begin again
DASHES = ("", "6 3", "2 3", "8 3 2 3", "", "6 3", "2 3", "8 3 2 3")
_STYLE = (Path(__file__).parent / "static" / "plot.css").read_text(encoding="utf-8")


def drawing(name: str, width: float, height: float, title: str, description: str, body: Sequence[str]) -> str:
    """A whole SVG element with a title and a description that a screen reader reads.

    name: unique in the page, for the ids. Colours come from static/plot.css and the theme.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        f"{''.join(body)}</svg>"
    )


def standalone(drawn: str) -> str:
    """A drawing as a file of its own: with a background and its colours, light and dark."""
    head, rest = drawn.split("</desc>", 1)
    back = '<rect class="plot-back" width="100%" height="100%"/>'
    return f"{head}</desc><style>{plot_colours()}{_STYLE}</style>{back}{rest}\n"


def text(
    x: float, y: float, content: str, kind: str = "plot-text", anchor: str = "start", more: str = ""
) -> str:
    """A text element; kind is its class."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(content)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line; kind is its class."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def marker(series: int, x: float, y: float, said: str = "") -> str:
    """The mark of a series (a shape of its own); `said` appears where a pointer rests on it."""
    r = 4.6
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>',
        f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}"/>',
        _polygon(x, y, [(0, -1.3), (1.2, 0.9), (-1.2, 0.9)], r),
        _polygon(x, y, [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)], r),
        _polygon(x, y, [(0, 1.3), (1.2, -0.9), (-1.2, -0.9)], r),
        _polygon(
            x, y, [(-1, -1), (0, -0.5), (1, -1), (0.5, 0), (1, 1), (0, 0.5), (-1, 1), (-0.5, 0)], 1.3 * r
        ),
        _polygon(x, y, [(math.sin(k * 2.513), -math.cos(k * 2.513)) for k in range(5)], 1.5 * r),
        _polygon(x, y, [(math.sin(k * 1.047), -math.cos(k * 1.047)) for k in range(6)], 1.2 * r),
    )
    title = f"<title>{escape(said)}</title>" if said else ""
    return f'<g class="plot-mark s{series % SERIES}">{title}{shapes[series % SERIES]}</g>'


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most about `most` round values (1, 2, 2.5 or 5 times a power of ten) that reach from low to high."""
    # Of values that hardly differ, ticks must still be farther apart than floats are.
    rough = max(high - low, 1e-9, 1e-8 * max(abs(low), abs(high))) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((f * power for f in (1, 2, 2.5, 5) if f * power >= rough), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 10) for k in range(first, max(last, first + 1) + 1)]


def _polygon(x: float, y: float, corners: Sequence[tuple[float, float]], r: float) -> str:
    points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}"/>'
