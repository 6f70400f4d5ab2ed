"""`codec encode`: recordings to token files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import batch, options, paths
from codec.cli.loading import Loader
from codec.containers import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from codec.audio import RawFormat
    from codec.codec import Codec
    from codec.files import Coded, Progress

_RAW_HINT = "RATE:CHANNELS:FORMAT, e.g. 16000:1:s16le"


def encode(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT", help="Recordings, folders of them, patterns like '*.wav', or - for a pipe."
        ),
    ],
    output: options.Output = None,
    kbps: options.Kbps = None,
    codebooks: options.Codebooks = None,
    vbr: options.Vbr = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    runtime: options.Runtime = options.RuntimeName.auto,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="To keep in the file; may be repeated.")
    ] = None,
    raw: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help=f"What samples without a header are: {_RAW_HINT}."),
    ] = None,
    entropy: Annotated[
        bool,
        typer.Option("--entropy/--no-entropy", help="Pack the codes tighter, where tables for it exist."),
    ] = True,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Encode recordings into .cdc token files, by default beside them."""
    options.one_rate(kbps, codebooks, vbr)
    fields = _fields(metadata or [])
    raw_format = None if raw is None else _raw_format(raw)
    jobs = paths.plan(inputs, output, AUDIO_SUFFIXES, ".cdc", force)

    loader = Loader(device, runtime)

    def work(job: paths.Job, progress: Progress) -> Coded:
        from codec import shipped
        from codec.files import encode_file
        from codec.tokenfile import tables_beside

        found = loader.load(model)
        _check_rate(found, kbps, codebooks, vbr)
        own = entropy and not shipped.is_checkpoint(model)
        tables = tables_beside(shipped.resolve(model), found.weights_hash) if own else None
        return encode_file(
            found,
            job.source,
            job.target,
            kbps=kbps,
            codebooks=codebooks,
            vbr=vbr,
            metadata=fields,
            raw=raw_format,
            tables=tables,
            progress=progress,
        )

    batch.run(jobs, work, loader, as_json=as_json)


def _check_rate(model: Codec, kbps: float | None, codebooks: int | None, vbr: float | None) -> None:
    from codec.errors import ConfigError

    try:
        model.choice_for(kbps, codebooks, vbr)
    except ConfigError as error:
        hint = "--vbr" if vbr is not None else "--codebooks" if kbps is None else "--kbps"
        raise typer.BadParameter(str(error), param_hint=hint) from error


def _fields(pairs: list[str]) -> dict[str, str]:
    fields = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--metadata")
        fields[key] = value
    return fields


def _raw_format(text: str) -> RawFormat:
    from codec.errors import AudioError
    from codec.pcm import SAMPLE_BYTES, RawFormat

    rate, _, rest = text.partition(":")
    channels, _, name = rest.partition(":")
    encoding = next((known for known in SAMPLE_BYTES if known == name), None)
    if not (rate.isdecimal() and channels.isdecimal()) or encoding is None:
        known = ", ".join(SAMPLE_BYTES)
        raise typer.BadParameter(f"{text!r} is not {_RAW_HINT}; formats: {known}", param_hint="--raw")
    try:
        return RawFormat(int(rate), int(channels), encoding)
    except AudioError as error:
        raise typer.BadParameter(str(error), param_hint="--raw") from error
