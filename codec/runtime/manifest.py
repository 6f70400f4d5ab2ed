"""What an exported model is made of: `<name>.onnx.json`, beside the weights and the graphs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.engine import ModelFacts
from codec.errors import ModelError

SUFFIX = ".onnx.json"
CODEBOOKS_SUFFIX = ".codebooks.npz"
_FORMAT = 2
# A recording has at least a frame in this many samples; a model's sizes are below as many.
_MAX_SIZE = 1 << 20
_KINDS = ("encoder", "encoder64", "decoder")
FIRST = "_first"
"""Follows the kind of a graph that is a stream's first step, where the graph of that kind cannot be."""


@dataclass(frozen=True)
class GraphFile:
    """One graph: file name, SHA-256, and the shape of each state of one stream, without the batch."""

    file: str
    sha256: str
    states: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Manifest:
    """An exported model.

    facts: of the model, but for its smaller codebooks, which have a file of their own.
    graphs: "encoder" and "decoder" in float32, "encoder64" in float64. Where a stream's first step differs
        from the others, "encoder_first" and so on are it: they take no states.
    history: samples, in whole frames of codes, that a frame depends on besides its own; None without bound,
        or where the quantizer does not know how close its calls are. All is then encoded in float64.
    crops: with states of no steps, "encoder64" gives the frames alone whose history the audio holds.
    typical_norm: of the latents. rounding: how far float32 can move one, see `Encoder.rounding`.
    codebooks: for each codebook the name of the tensor that it is, or all are in a file of their own.
    codebooks_sha256: of that file.
    equals: for each codebook the codes that stand for the same as an earlier one, and that one.
    begins: for each codebook the first of the latent's values that it is about, where it is not about all.
    """

    facts: ModelFacts
    graphs: dict[str, GraphFile]
    history: int | None
    crops: bool
    typical_norm: float
    rounding: float
    codebooks: tuple[str, ...]
    codebooks_sha256: str | None
    equals: tuple[tuple[tuple[int, int], ...], ...]
    begins: tuple[int, ...] = ()


def beside(weights: Path) -> Path:
    """The manifest's place for a weights file."""
    return weights.with_name(weights.stem + SUFFIX)


def is_exported(weights: Path) -> bool:
    """Whether there are graphs beside a weights file."""
    return beside(weights).is_file()


def dump(manifest: Manifest) -> str:
    """The manifest as JSON."""
    plain = dataclasses.asdict(manifest)
    del plain["facts"]["smaller"]
    return json.dumps({"format": _FORMAT, **plain}, indent=1) + "\n"


def load(weights: Path) -> Manifest:
    """The manifest beside a weights file; its graphs are as they were written.

    Raises:
        ModelError: it is missing or damaged, or a graph is.
    """
    path = beside(weights)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"There are no ONNX graphs beside {weights}: make them with codec export, "
            'or load the model with runtime="torch".'
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    try:
        if plain["format"] != _FORMAT:
            raise ModelError(f"{path} was written by another version of codec: export the model again.")
        found = _parse(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is damaged ({error!r}): export the model again.") from error
    return found


def checked(path: Path, sha256: str) -> bytes:
    """What a file of the export holds, once it is sure that it is what was written; raises ModelError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"{path} is damaged or of another export: export the model again.")
    return content


def _parse(plain: dict[str, Any]) -> Manifest:
    facts = plain["facts"]
    sizes = tuple(_size(size) for size in facts["codebook_sizes"])
    first = [kind + FIRST for kind in _KINDS if kind + FIRST in plain["graphs"]]
    graphs = {kind: plain["graphs"][kind] for kind in (*_KINDS, *first)}
    for graph in graphs.values():
        if Path(graph["file"]).name != graph["file"]:
            raise ValueError("a graph in another folder")
    in_weights = len(sizes) if plain["codebooks_sha256"] is None else 0
    if not len(sizes) == len(plain["equals"]) > 0 or len(plain["codebooks"]) != in_weights:
        raise ValueError("another number of codebooks")
    history = plain["history"]
    begins = tuple(_size(begin, 0) for begin in plain.get("begins", ()))
    if begins and len(begins) != len(sizes):
        raise ValueError("another number of codebooks")
    return Manifest(
        facts=ModelFacts(
            name=str(facts["name"]),
            weights_hash=str(facts["weights_hash"]),
            sample_rate=_size(facts["sample_rate"]),
            hop_length=_size(facts["hop_length"]),
            codebook_sizes=sizes,
            smaller=(),
            delay=_size(facts["delay"], 0),
            parameters=int(facts["parameters"]),
            lead=_size(facts.get("lead", 1)),
            fills=bool(facts.get("fills", True)),
        ),
        graphs={
            kind: GraphFile(
                str(graph["file"]),
                str(graph["sha256"]),
                tuple(tuple(_size(size, 0) for size in shape) for shape in graph["states"]),
            )
            for kind, graph in graphs.items()
        },
        history=None if history is None else _size(history, 0),
        crops=bool(plain["crops"]),
        typical_norm=float(plain["typical_norm"]),
        rounding=float(plain["rounding"]),
        codebooks=tuple(str(name) for name in plain["codebooks"]),
        codebooks_sha256=None if plain["codebooks_sha256"] is None else str(plain["codebooks_sha256"]),
        equals=tuple(
            tuple((_code(code, size), _code(first, size)) for code, first in pairs)
            for pairs, size in zip(plain["equals"], sizes, strict=True)
        ),
        begins=begins,
    )


def _size(value: object, least: int = 1) -> int:
    if not isinstance(value, int) or not least <= value <= _MAX_SIZE:
        raise ValueError(f"a size of {value!r}")
    return value


def _code(value: object, size: int) -> int:
    if not isinstance(value, int) or not 0 <= value < size:
        raise ValueError(f"a code {value!r}")
    return value
