"""`codec index`: semantic IDs of the clips of a folder."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from codec.cli import options, paths
from codec.cli.batch import progress_bar
from codec.cli.report import printable, report
from codec.containers import AUDIO_SUFFIXES
from codec.errors import CodecError, ConfigError

if TYPE_CHECKING:
    from codec.scale.clip_index import ClipIndex


def index(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Of recordings.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The index; default: codec-index.safetensors there.")
    ] = None,
    codebooks: Annotated[int, typer.Option(min=1, max=64, help="Codes of an ID.")] = 4,
    size: Annotated[int, typer.Option(min=2, max=65536, help="Entries of each codebook.")] = 16,
    model: options.Model = None,
    device: options.Device = "cpu",
    force: options.Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each clip.")] = False,
) -> None:
    """Give each clip a tuple of codes, of which clips that are alike share a beginning; for codec similar."""
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder} is no folder: name one that holds recordings.")
    target = output or os.path.join(folder, "codec-index.safetensors")
    if (problem := paths.check_target("-", target, force)) is not None:
        raise problem
    found = paths.find([folder], AUDIO_SUFFIXES)
    if found[0].error is not None:
        raise found[0].error
    import torch

    from codec import shipped
    from codec.scale.clip_index import ClipIndex, vectors_of

    network, weights_hash = shipped.load_network(model)
    names, vectors, failed = [], [], False
    with progress_bar(len(found)) as bar:
        for number, result in vectors_of(network.to(device), [item.path for item in found]):
            bar.follow(number, found[number].path)
            if isinstance(result, CodecError):
                failed = True
                with bar.paused():
                    report(result, found[number].path)
            else:
                names.append(found[number].inside)
                vectors.append(result)
    if len(vectors) < size:
        raise ConfigError(
            f"{folder} has {len(vectors)} clips: codebooks of {size} entries need as many (--size)."
        )
    root = os.path.relpath(folder, os.path.dirname(target) or ".")
    made = ClipIndex.build(root, names, torch.stack(vectors), weights_hash, codebooks=codebooks, size=size)
    made.save(target)
    if as_json:
        for name, clip in zip(made.names, made.ids.tolist(), strict=True):
            print(json.dumps({"clip": name, "id": clip}))
    else:
        _tell(made, target)
    if failed:
        raise typer.Exit(1)


def _tell(made: ClipIndex, target: str) -> None:
    distinct = len({tuple(clip) for clip in made.ids.tolist()})
    print(printable(f"{target}: {len(made.names):,} clips, {distinct:,} different IDs"))
    quality = made.quality()
    for shared, similarity, pairs in quality.by_prefix:
        codes = f"{shared} code{'s' if shared != 1 else ''} shared"
        print(f"  {codes}: similarity {similarity:+.3f} ({pairs:,} pairs)")
    if quality.same_folder is not None:
        print(
            f"  of a clip's 5 nearest, {quality.same_folder:.1%} are of its folder; "
            f"by chance {quality.chance:.1%}"
        )
