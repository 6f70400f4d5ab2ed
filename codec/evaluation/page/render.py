"""The listening page: one HTML file with its figures, sounds, pictures, styles and scripts inside."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

from codec.evaluation.page import spectrogram as pictures
from codec.evaluation.page import tables
from codec.evaluation.page.codebooks import health_section
from codec.evaluation.page.plots import has_values, rate_distortion
from codec.evaluation.page.sound import flac, low_anchor
from codec.evaluation.page.text import clean, escape, figure, script_json, seconds
from codec.evaluation.page.theme import page_colours
from codec.evaluation.results import Clip, Measurement, Metric, Report

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("binomial", "sound", "table", "stage", "listen", "abx", "mushra", "page")


def render(report: Report, clips: Sequence[Clip] = ()) -> str:
    """The page as HTML text (UTF-8). It needs no other file and no network, and works from `file://`.

    Args:
        report: the figures; parts that are empty are left out of the page.
        clips: recordings to be heard; about 20 kB a second and version at 16 kHz.

    The page's content security policy allows its own script alone, whatever a file name may hold.
    """
    report, clips = _without_folder(report, clips)
    metrics = tables.shown_metrics(report)
    ranked = tables.worst_first(report.recordings, metrics[0] if metrics else None)
    order = {recording.file: number for number, recording in enumerate(ranked)}
    sounds = _Blobs()
    by_rank = sorted(clips, key=lambda clip: order.get(clip.file, -1))
    shown = [_clip(clip, report, metrics, sounds) for clip in by_rank]
    data = {"title": clean(report.title), "clips": shown}
    script = '"use strict";\n(() => {\n' + "\n".join(_static(f"{name}.js") for name in _SCRIPTS) + "\n})();\n"
    loudness, signed = pictures.gradients()
    there = {
        "results": bool(report.rows or report.recordings),
        **dict.fromkeys(("listen", "abx", "mushra"), bool(shown)),
        "codebooks": bool(report.health),
    }
    return Template(_static("page.html")).substitute(
        title=escape(report.title),
        policy=f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
        style=page_colours() + _static("plot.css") + _static("page.css"),
        gradients=f"--loudness:{loudness};--signed:{signed};",
        floor=f"{pictures.FLOOR_DB:g}",
        difference=f"{pictures.DIFFERENCE_DB:g}",
        views=" ".join(name for name, is_there in there.items() if is_there),
        first="listen" if shown and len(report.recordings) <= 1 else "results",
        facts=_facts(report, metrics),
        plots=_plots(report, metrics),
        summary=tables.summary_table(report, metrics) if report.rows else "",
        recordings=_recordings(report, ranked, metrics, clips),
        health="".join(health_section(number, health) for number, health in enumerate(report.health)),
        data=script_json(data),
        sounds=sounds.html(),
        script=script,
    )


def _without_folder(report: Report, clips: Sequence[Clip]) -> tuple[Report, Sequence[Clip]]:
    """The same, with file names below the folder that all recordings share: the rest only fills the page."""
    files = [*(item.file for item in report.recordings), *(clip.file for clip in clips)]
    folders = [os.path.dirname(file) for file in files]
    if len({os.path.isabs(file) for file in files}) != 1 or not all(folders):
        return report, clips
    folder = os.path.commonpath(folders) or os.curdir
    recordings = tuple(replace(item, file=os.path.relpath(item.file, folder)) for item in report.recordings)
    shown = [replace(clip, file=os.path.relpath(clip.file, folder)) for clip in clips]
    return replace(report, recordings=recordings), shown


class _Blobs:
    """Base64 of sounds and pictures, each in an element of its own, which is parsed when it is needed."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, data: bytes) -> str:
        """The id of the element that holds data."""
        name = f"blob-{len(self._parts)}"
        self._parts.append(
            f'<script type="text/plain" id="{name}">{base64.b64encode(data).decode()}</script>'
        )
        return name

    def html(self) -> str:
        return "\n".join(self._parts)


def _clip(clip: Clip, report: Report, metrics: Sequence[Metric], blobs: _Blobs) -> dict[str, Any]:
    own = [recording for recording in report.recordings if recording.file == clip.file]
    measured = {item.label: item for recording in own for item in recording.measurements}
    rate = clip.sample_rate
    original = pictures.spectrogram(clip.original, rate)
    peak = float(original.max(initial=-140.0))
    versions: list[dict[str, Any]] = [
        {
            "label": "Original",
            "group": "",
            "short": "Original",
            "sound": blobs.add(flac(clip.original, rate)),
            "image": blobs.add(pictures.loudness_image(original, peak)),
            "facts": _original_facts(clip),
        }
    ]
    for label, audio in clip.decoded.items():
        drawn = pictures.spectrogram(audio, rate)
        versions.append(
            {
                "label": clean(label),
                **_group(label, measured.get(label)),
                "sound": blobs.add(flac(audio, rate)),
                "image": blobs.add(pictures.loudness_image(drawn, peak)),
                "difference": blobs.add(pictures.difference_image(drawn, original, peak)),
                "facts": _version_facts(measured.get(label), metrics),
            }
        )
    return {
        "file": clean(clip.file),
        "seconds": clip.original.shape[1] / rate,
        "hertz": rate / 2,
        "versions": versions,
        "anchor": blobs.add(flac(low_anchor(clip.original, rate), rate)),
    }


def _group(label: str, item: Measurement | None) -> dict[str, str]:
    """How the player names a version: by its rate, among those of its system."""
    if item is None or not math.isfinite(item.kbps):
        return {"group": "", "short": clean(label)}
    return {"group": f"{clean(item.system)}, kbps", "short": f"{item.kbps:g}"}


def _original_facts(clip: Clip) -> str:
    channels = clip.original.shape[0]
    layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    # The rate of plain 16-bit samples is what a codec's is compared with.
    khz = clip.sample_rate / 1000
    return f"{khz:g} kHz, {layout}; {16 * khz:g} kbps per channel as 16-bit PCM"


def _version_facts(item: Measurement | None, metrics: Sequence[Metric]) -> str:
    if item is None:
        return ""
    parts = [f"{figure(item.file_kbps, 2)} kbps in the file"] if math.isfinite(item.file_kbps) else []
    for metric in metrics:
        value = item.metrics.get(metric.key, math.nan)
        if math.isfinite(value):
            parts.append(
                f"{metric.name} {figure(value, metric.digits)}{' ' + metric.unit if metric.unit else ''}"
            )
    return " · ".join(parts)


def _facts(report: Report, metrics: Sequence[Metric]) -> str:
    """What a reader wants to know first, of the first system: (name, value, more)."""
    measured = [recording for recording in report.recordings if not recording.error]
    length = seconds(math.fsum(recording.seconds for recording in measured))
    count = ("Recordings", str(len(measured)), f"{length} in all")
    facts = [("Recording", length, measured[0].file) if len(measured) == 1 else count]
    own = [row for row in report.rows if row.system == report.rows[0].system and math.isfinite(row.kbps)]
    own.sort(key=lambda row: row.kbps)
    if own:
        span = f"{own[0].kbps:g} to {own[-1].kbps:g}" if len(own) > 1 else f"{own[0].kbps:g}"
        facts.append((own[0].system, f"{span} kbps", "per channel, from one set of weights"))
    for metric in metrics[:2]:
        if own and has_values(own[-1:], metric.key):
            facts.append(
                (metric.name, figure(own[-1].metrics[metric.key].mean, metric.digits), own[-1].label)
            )
    sized = [row for row in own if math.isfinite(row.file_kbps) and row.file_kbps > 0]
    if sized and measured:
        row = min(sized, key=lambda row: abs(math.log(row.file_kbps / 6)))
        pcm = math.fsum(16 * recording.sample_rate / 1000 for recording in measured) / len(measured)
        facts.append(
            (
                "Smaller than 16-bit PCM",
                f"{pcm / row.file_kbps:.0f} \N{MULTIPLICATION SIGN}",
                f"at {row.kbps:g} kbps, by file size",
            )
        )
    return "".join(
        f'<div class="fact"><dt>{escape(name)}</dt><dd>{escape(value)}'
        f"<small><bdi>{escape(more)}</bdi></small></dd></div>"
        for name, value, more in facts
    )


def _plots(report: Report, metrics: Sequence[Metric]) -> str:
    drawn = [metric for metric in metrics if has_values(report.rows, metric.key)]
    if not drawn:
        return ""
    options = "".join(f'<option value="{metric.key}">{escape(metric.name)}</option>' for metric in drawn)
    frames = "".join(
        f'<div class="plot-frame" data-metric="{metric.key}">{rate_distortion(report.rows, metric)}'
        f'<p class="soft">{escape(metric.name)}: {escape(metric.description)}; {metric.better} is better.</p>'
        "</div>"
        for metric in drawn
    )
    return (
        '<section class="card" aria-labelledby="plots-title"><div class="head">'
        '<h2 id="plots-title">Quality by bitrate</h2>'
        f'<label>Metric <select id="metric">{options}</select></label></div>{frames}</section>'
    )


def _recordings(
    report: Report, ranked: Sequence[Any], metrics: Sequence[Metric], clips: Sequence[Clip]
) -> str:
    if not report.recordings:
        return ""
    labels = dict.fromkeys(item.label for recording in ranked for item in recording.measurements)
    options = "".join(f'<option value="{escape(label)}">{escape(label)}</option>' for label in labels)
    failed = "".join(
        f"<li><bdi>{escape(where)}</bdi>: {escape(reason)}</li>" for where, reason in tables.failures(ranked)
    )
    count = f"Without a value: {failed.count('<li>')}"
    failures = f'<details class="failures"><summary>{count}</summary><ul>{failed}</ul></details>'
    ranking = (
        f'<p class="soft">Rank 1 came out worst: by {escape(metrics[0].name)}, '
        "averaged over all systems and rates.</p>"
        if metrics and len(ranked) > 1
        else ""
    )
    heard = {clip.file: tuple(clip.decoded) for clip in clips}
    return (
        '<section class="card" aria-labelledby="recordings-title"><div class="head">'
        '<h2 id="recordings-title">Recordings, worst first</h2>'
        '<label>File <input id="filter-file" type="search" placeholder="part of its name" autocomplete="off">'
        '</label><label>System and rate <select id="filter-rate"><option value="">all</option>'
        f"{options}</select></label>"
        '<output id="filter-count"></output></div>'
        f"{ranking}"
        f"{tables.recordings_table(ranked, metrics, heard)}{failures if failed else ''}</section>"
    )


def _static(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
