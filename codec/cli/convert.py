"""`codec convert`: token files of one codec as those of another, losing nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from codec.cli import options
from codec.cli.report import report
from codec.cli.rewriting import target

LanguageModel = Annotated[
    str | None,
    typer.Option(
        metavar="WEIGHTS", help="EnCodec's language model (encodec_lm_24khz-….th), for .ecdc files."
    ),
]


def convert(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A .cdc, .ecdc or .dac file.")],
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="The new file; its name says what it is.")],
    model: Annotated[
        str | None,
        typer.Option(help="The imported model that made the codes; a .cdc file then names its weights."),
    ] = None,
    lm: LanguageModel = None,
    force: options.Force = False,
) -> None:
    """Convert between .cdc, EnCodec's .ecdc and DAC's .dac; no code changes, nothing is encoded again.

    Codes of one model stay codes of that model. With --lm an .ecdc file is written coded, otherwise packed.
    """
    from codec.interop import files
    from codec.interop.detect import is_checkpoint

    with target(output, source, force) as place:
        if not isinstance(place, str):
            raise typer.BadParameter("name the new file: its ending says what it is", param_hint="OUTPUT")
        files.suffix_of(place)
        maker = tables = None
        if model is not None:
            from codec import shipped
            from codec.tokenfile import tables_beside

            maker = shipped.load(model)
            if not is_checkpoint(model):
                tables = tables_beside(shipped.resolve(model), maker.weights_hash)
        tokens = files.read_tokens(source, lm=lm, model=maker, tables=tables)
        for lost in files.write_tokens(place, tokens, lm=lm, model=maker, tables=tables):
            report(f"warning: {output}: {lost}")
