"""The Typer application: every command, by its file. What is heavy is imported when a command runs."""

from __future__ import annotations

from typing import Annotated

import typer

import codec
from codec.cli import (
    bench,
    cat,
    convert,
    cut,
    decode,
    encode,
    entropy,
    eval,
    export,
    import_,
    index,
    info,
    listen,
    models,
    prepare,
    quantizers,
    similar,
    tokenize,
    train,
    trim,
)

app = typer.Typer(
    name="codec",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: with rich, --help alone would take half as long again
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("encode")(encode.encode)
app.command("decode")(decode.decode)
app.command("info")(info.info)
app.command("trim")(trim.trim)
app.command("cut")(cut.cut)
app.command("cat")(cat.cat)
app.command("convert")(convert.convert)
app.command("models")(models.models)
app.command("eval")(eval.evaluate)
app.command("listen")(listen.listen)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("prepare")(prepare.prepare)
app.command("index")(index.index)
app.command("similar")(similar.similar)
app.command("tokenize")(tokenize.tokenize)
app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train.train)
app.add_typer(bench.bench, name="bench")
app.add_typer(quantizers.quantizers, name="quantizers")
app.add_typer(entropy.entropy, name="entropy")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"codec {codec.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A neural audio codec: recordings to small token files of selectable bitrate, and back."""
