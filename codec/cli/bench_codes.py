"""`codec bench codes`: every way to encode the same recordings, and whether the codes are the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from codec.cli import options, paths
from codec.cli.report import report
from codec.containers import AUDIO_SUFFIXES
from codec.errors import CodecError, ConfigError


def codes(
    inputs: Annotated[
        list[str], typer.Argument(metavar="AUDIO", help="Recordings, folders of them, or patterns.")
    ],
    model: options.Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Encode recordings in every way there is, and count the frames whose codes differ.

    Offline, streamed and in batches, on one thread and two, by each runtime that is installed. Tells how many
    frames were too close to call in float32, and what it costs to decide them in float64. Exit code 1 when
    any code differs.
    """
    from codec import load
    from codec.audio import read_audio, resample
    from codec.evaluation.speed import agreement

    rate, clips, failed = load(model).sample_rate, [], False
    for item in paths.find(inputs, AUDIO_SUFFIXES):
        try:
            if item.error is not None:
                raise item.error
            audio, own_rate = read_audio(item.path)
            clips.append(resample(audio[:1], own_rate, rate)[0])
        except CodecError as error:
            failed = True
            report(error, item.path)
    if not clips:
        raise ConfigError("there are no recordings to encode")
    if not as_json:
        print(f"{'':<32}{'frames':>8}{'differ':>8}{'rechecked':>11}{'cpu s':>8}")
    for found in agreement.compare(model, clips, rate):
        failed = failed or found.different > 0
        if as_json:
            print(json.dumps(asdict(found)))
            continue
        share = "" if found.rechecked is None else f"{found.rechecked / max(1, found.frames):.2%}"
        counts = f"{found.frames:>8}{found.different:>8}{share:>11}{found.seconds:>8.2f}"
        print(f"{found.way:<32}{counts}", flush=True)
    try:
        cost = agreement.recheck(model, clips, rate)
    except CodecError:
        cost = None
    if cost is not None and as_json:
        print(json.dumps({"recheck": asdict(cost)}))
    elif cost is not None:
        more = f"{cost.with_recheck / cost.without - 1:.0%} more"
        print(f"onnx: {cost.with_recheck:.2f} s with the recheck, {cost.without:.2f} s without, {more}")
    if failed:
        raise typer.Exit(1)
