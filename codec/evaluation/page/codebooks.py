"""Codebook health: the hourglass plot, and a table of what each stage does with its entries."""

from __future__ import annotations

import math
from collections.abc import Sequence

from codec.evaluation.page import svg
from codec.evaluation.page.text import NONE, escape, figure
from codec.evaluation.results import Health, StageHealth

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 560.0, 78.0, 122.0, 20.0, 8.0


def health_section(number: int, health: Health) -> str:
    """The plot and the table of one model."""
    note = f"<p>{escape(health.note)}</p>" if health.note else ""
    return (
        f'<article class="card"><h3>{escape(health.system)}</h3>'
        f'<p class="soft">{health.frames:,} frames.</p>{note}'
        f'<div class="plot-frame">{hourglass(health, f"hourglass-{number}")}</div>'
        f"{_table(number, health)}</article>"
    )


def hourglass(health: Health, name: str = "hourglass") -> str:
    """An SVG element: a centred bar for each stage, as wide as the entropy of its codes.

    Outlines are what the codebook could hold; the inner bar is what the stage adds to those before it. A
    narrow middle is the hourglass of arXiv 2407.21488: stages whose codes are concentrated on few entries.
    """
    room = max(math.log2(stage.size) for stage in health.stages)
    top = 46.0
    centre = (_LEFT + _WIDTH - _RIGHT) / 2

    def bar(bits: float, y: float, height: float, kind: str) -> str:
        width = max(0.0, bits if math.isfinite(bits) else 0.0) / room * (_WIDTH - _LEFT - _RIGHT)
        x = centre - width / 2
        return (
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
        )

    body = [
        f'<rect class="plot-fill s0" opacity=".45" x="{_LEFT}" y="12" width="14" height="12"/>',
        svg.text(_LEFT + 20, 22.5, "entropy"),
        f'<rect class="plot-fill s0" x="{_LEFT + 88}" y="12" width="14" height="12"/>',
        svg.text(_LEFT + 108, 22.5, "given the earlier stage"),
        f'<rect class="plot-room" x="{_LEFT + 292}" y="12" width="14" height="12"/>',
        svg.text(_LEFT + 312, 22.5, "log2 of the size"),
    ]
    for row, stage in enumerate(health.stages):
        y = top + row * (_BAR + _GAP)
        body.append(svg.text(_LEFT - 10, y + 14.5, f"stage {stage.stage}", anchor="end"))
        body.append(bar(stage.entropy, y, _BAR, "plot-fill s0").replace("<rect ", '<rect opacity=".45" '))
        body.append(bar(stage.entropy_given_earlier_stage, y + 5, _BAR - 10, "plot-fill s0"))
        body.append(bar(math.log2(stage.size), y, _BAR, "plot-room"))
        said = f"{figure(stage.entropy, 2)} of {math.log2(stage.size):g} bits"
        body.append(svg.text(_WIDTH - _RIGHT + 8, y + 14.5, said))
    about = "; ".join(
        f"stage {s.stage}: {figure(s.entropy, 2)} of {math.log2(s.size):g} bits, "
        f"{figure(s.entropy_given_earlier_stage, 2)} given the earlier stage"
        for s in health.stages
    )
    height = top + len(health.stages) * (_BAR + _GAP) + 6
    title = f"Hourglass plot of {health.system}: entropy of each stage's codes"
    return svg.drawing(name, _WIDTH, height, title, f"Centred bars, wider is more even use. {about}.", body)


def _table(number: int, health: Health) -> str:
    heads = (
        *("Stage", "Used", "Dead", "Perplexity", "Entropy", "Gini", "Given the frame before"),
        *(
            "Given the earlier stage",
            "Paths",
            "Same after a 1-sample shift",
            "Same after gain",
            "Same after noise",
        ),
    )
    cells = "".join(
        f'<th scope="col" class="number"><button type="button" class="sort">{head}</button></th>'
        for head in heads
    )
    rows = "".join(f"<tr>{''.join(_cells(stage))}</tr>" for stage in health.stages)
    return (
        '<p class="soft">Entropies in bits; bars are shares of what is possible.</p>'
        f'<div class="scroll" role="region" aria-label="Codebooks of {escape(health.system)}" tabindex="0">'
        f'<table id="health-{number}" class="sortable wrap">'
        f"<caption>Codebooks of {escape(health.system)}</caption>"
        f"<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cells(stage: StageHealth) -> Sequence[str]:
    bits = math.log2(stage.size)
    return (
        f'<th scope="row" class="number" data-value="{stage.stage}">{stage.stage}</th>',
        _bar(stage.used, f"{stage.used:,} of {stage.size:,}", stage.used / stage.size),
        _bar(stage.dead, f"{stage.dead:,}", stage.dead / stage.size),
        _bar(stage.perplexity, figure(stage.perplexity, 0), stage.perplexity / stage.size),
        _bar(stage.entropy, figure(stage.entropy, 2), stage.entropy / bits),
        _bar(stage.gini, figure(stage.gini, 3), stage.gini),
        _bar(
            stage.entropy_given_previous_frame,
            figure(stage.entropy_given_previous_frame, 2),
            stage.entropy_given_previous_frame / bits,
        ),
        _bar(
            stage.entropy_given_earlier_stage,
            figure(stage.entropy_given_earlier_stage, 2),
            stage.entropy_given_earlier_stage / bits,
        ),
        _bar(stage.paths, f"{stage.paths:,}", math.nan),
        *(
            _bar(share, _percent(share), share)
            for share in (stage.stable_shift, stage.stable_gain, stage.stable_noise)
        ),
    )


def _percent(share: float) -> str:
    return f"{figure(100 * share, 1)} %" if math.isfinite(share) else NONE


def _bar(value: float, shown: str, share: float) -> str:
    """A cell with its share of what is possible (0 to 1) as a bar below the number; no bar for NaN."""
    sortable = f"{value:.9g}" if math.isfinite(value) else ""
    drawn = ""
    if math.isfinite(share):
        drawn = f'<span class="bar" style="--share:{min(1.0, max(0.0, share)):.3f}"></span>'
    return f'<td class="number" data-value="{sortable}">{shown}{drawn}</td>'
