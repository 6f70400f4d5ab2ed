"""`codec similar`: the clips of an index that are most like a recording."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from codec.cli import options
from codec.cli.report import printable
from codec.errors import CodecError, ModelError


def similar(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A recording, of the index or not.")],
    index: Annotated[
        str | None, typer.Option(help="What codec index made; default: that of the clip's folder or above.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Clips to find.")] = 10,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each clip.")] = False,
) -> None:
    """Find the clips with the longest common beginning of their IDs, the most similar of these first."""
    from codec import shipped
    from codec.scale.clip_index import find_index, load_index, vectors_of

    path = index or find_index(clip)
    known = load_index(path)
    network, weights_hash = shipped.load_network(model)
    if weights_hash != known.weights_hash:
        raise ModelError(
            f"{path} is of weights {known.weights_hash}, and these are {weights_hash}: name its model."
        )
    _, vector = next(iter(vectors_of(network.to(device), [clip])))
    if isinstance(vector, CodecError):
        raise vector
    own = os.path.relpath(clip, os.path.join(os.path.dirname(path), known.root))
    without = known.names.index(own) if own in known.names else None
    for found in known.nearest(vector, count, without=without):
        if as_json:
            facts = {"clip": found.name, "id": found.id, "shared": found.shared}
            print(json.dumps({**facts, "similarity": round(found.similarity, 4)}))
        else:
            codes = " ".join(f"{code:2d}" for code in found.id)
            print(printable(f"{found.shared} shared, {found.similarity:+.3f}  [{codes}]  {found.name}"))
