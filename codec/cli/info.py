"""`codec info`: what a token file says of itself; every checksum in it is verified on the way."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from codec import shipped
from codec.cli import options
from codec.cli.models import facts as model_facts
from codec.cli.report import printable, report, sentence
from codec.errors import CodecError, TokenFileError
from codec.tokenfile.scan import Scanner, seconds_of
from codec.tokenfile.source import opened


def info(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Token files.")],
    as_json: options.Json = False,
) -> None:
    """Show what token files hold, and check that they are whole."""
    failed = False
    for number, name in enumerate(files):
        try:
            facts = describe(name)
        except CodecError as error:
            failed = True
            report(error, name)
            facts = {"input": name, "error": sentence(error, name)}
        if as_json:
            print(json.dumps(facts))
        elif "error" not in facts:
            print("\n" * (number > 0) + _text(facts))
    if failed:
        raise typer.Exit(1)


def describe(name: str) -> dict[str, Any]:
    """The facts of a token file, as plain values; raises TokenFileError when it is damaged or cut off."""
    if os.path.splitext(name)[1].lower() in (".ecdc", ".dac"):
        from codec.interop import describe

        return describe.describe(name)
    with opened(name) as file:
        scanner = Scanner(file)
        header = scanner.header
        frames = pages = 0
        for page in scanner:
            frames += page.frames
            pages += 1
        if scanner.source.fill(1) and scanner.closed:
            raise TokenFileError("the token file goes on after its end: it is two files in one, or damaged")
    size = os.path.getsize(name)
    n_samples = scanner.n_samples
    seconds = seconds_of(header, frames) if n_samples is None else n_samples / header.sample_rate
    return {
        "input": name,
        "format_version": header.version,
        "model": header.model,
        "weights_hash": header.weights_hash,
        "latency_ms": _latency(header.model),
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": n_samples,
        "seconds": seconds,
        "finished": scanner.closed,
        "frame_rate": float(header.frame_rate),
        "frames": frames,
        "pages": pages,
        "codebooks": header.codebooks,
        "kbps": header.kbps,
        "kbps_all_channels": header.kbps * header.channels,
        "bytes": size,
        "kbps_of_file": 8 * size / seconds / 1000 if seconds else None,
        "entropy_coding": header.entropy,
        "entropy_tables": header.tables or None,
        "skip": header.skip,
        "metadata": dict(header.metadata),
    }


def _latency(model: str) -> float | None:
    if model not in shipped.names():
        return None
    latency: float | None = model_facts(shipped.resolve(model))["latency_ms"]
    return latency


def _text(facts: dict[str, Any]) -> str:
    if "format" in facts:
        return _foreign_text(facts)
    # Entropy coding and skipped codes make files smaller than their codes, packed plainly, would be.
    most = "" if facts["entropy_tables"] is None else "at most "
    samples = "length not stated" if facts["samples"] is None else f"{facts['samples']:,} samples"
    actual = "" if facts["kbps_of_file"] is None else f", {facts['kbps_of_file']:.3g} kbps"
    latency = "" if facts["latency_ms"] is None else f", latency {facts['latency_ms']:g} ms"
    rows = {
        "format": f".cdc version {facts['format_version']}",
        "model": f"{facts['model'] or '?'} ({facts['weights_hash'] or 'no hash'}){latency}",
        "audio": f"{facts['sample_rate']:,} Hz, {facts['channels']} channel(s)",
        "duration": f"{facts['seconds']:.3f} s, {samples}",
        "codebooks": f"{facts['codebooks']}, {facts['frames']:,} frames at {facts['frame_rate']:g} frames/s",
        "bitrate": f"{most}{facts['kbps']:g} kbps per channel, {facts['kbps_all_channels']:g} kbps in all",
        "file": f"{facts['bytes']:,} bytes in {facts['pages']:,} page(s){actual}",
        "entropy coder": "none" if facts["entropy_tables"] is None else f"tables {facts['entropy_tables']}",
    }
    if not facts["finished"]:
        rows["state"] = "no end record: still being written, or the writer was stopped"
    rows |= {f"  {key}": value for key, value in facts["metadata"].items()}
    lines = [facts["input"], *(f"  {name:<14}{value}" for name, value in rows.items())]
    return "\n".join(printable(line) for line in lines)


def _foreign_text(facts: dict[str, Any]) -> str:
    """Of a file of another codec."""
    actual = "" if facts["kbps_of_file"] is None else f", {facts['kbps_of_file']:.3g} kbps"
    rate = "" if facts["frame_rate"] is None else f" at {facts['frame_rate']:g} frames/s"
    rows = {
        "format": facts["format"],
        "model": f"{facts['model'] or '?'} (no hash)",
        "audio": f"{facts['sample_rate']:,} Hz, {facts['channels']} channel(s)",
        "duration": f"{facts['seconds']:.3f} s, {facts['samples']:,} samples",
        "codebooks": f"{facts['codebooks']}, {facts['frames']:,} frames{rate}",
        "file": f"{facts['bytes']:,} bytes{actual}",
        "entropy coder": facts["entropy_coding"] or "none",
    }
    if not facts["checked"]:
        rows["state"] = "not checked: that takes the language model's weights"
    lines = [facts["input"], *(f"  {name:<14}{value}" for name, value in rows.items())]
    return "\n".join(printable(line) for line in lines)
