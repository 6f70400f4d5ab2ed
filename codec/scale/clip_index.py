"""An index of the clips of a folder by their semantic IDs, in a file, and what is like a clip in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.torch
import torch

from codec.errors import AudioError, CodecError, ConfigError, OutputError
from codec.evaluation.latents import latents_of
from codec.models.network import CodecNetwork
from codec.quantize.semantic_ids import Id, SemanticIds, pooled, similarity_by_prefix
from codec.tokenfile.output import output

FILE = "codec-index.safetensors"
# Clips that what is said about an index is measured with: all pairs of them.
_MEASURED = 1000


@dataclass(frozen=True)
class Found:
    """A clip that is like another one. shared: codes at the start of both IDs. similarity: cosine."""

    name: str
    id: Id
    shared: int
    similarity: float


@dataclass(frozen=True)
class Quality:
    """What IDs are worth, on clips of the index.

    by_prefix: (codes shared, mean similarity, pairs). same_folder: of each clip's 5 nearest, how many are of
    its folder; chance: how many would be if they were drawn; None where all are of one folder.
    """

    by_prefix: list[tuple[int, float, int]]
    same_folder: float | None
    chance: float | None


@dataclass(frozen=True, eq=False)
class ClipIndex:
    """Clips of a folder.

    root: the folder, relative to that of the index. names: of the clips, relative to it.
    ids: of each, `[n, codebooks]`. vectors: pooled latents `[n, dim]`.
    weights_hash: of the model whose latents they are.
    """

    root: str
    names: tuple[str, ...]
    ids: np.ndarray
    vectors: torch.Tensor
    semantic: SemanticIds
    weights_hash: str

    @classmethod
    def build(
        cls,
        root: str,
        names: Sequence[str],
        vectors: torch.Tensor,
        weights_hash: str,
        *,
        codebooks: int,
        size: int,
    ) -> ClipIndex:
        """Raises ConfigError when there are fewer clips than entries of a codebook."""
        semantic = SemanticIds(vectors, codebooks=codebooks, size=size)
        return cls(root, tuple(names), np.array(semantic.of(vectors)), vectors, semantic, weights_hash)

    def nearest(self, vector: torch.Tensor, count: int, *, without: int | None = None) -> list[Found]:
        """At most `count` clips: those that share the longest prefix with a pooled vector's ID, and of
        these the most similar ones first.

        without: the number of a clip to leave out.
        """
        own = self.semantic.of(vector[None])[0]
        shared = np.cumprod(self.ids == np.array(own), axis=1).sum(1)
        similarity = self.semantic.similarity(vector[None], self.vectors)[0].numpy()
        order = [int(i) for i in np.lexsort((-similarity, -shared)) if i != without][:count]
        return [
            Found(self.names[i], tuple(self.ids[i].tolist()), int(shared[i]), float(similarity[i]))
            for i in order
        ]

    def quality(self) -> Quality:
        """How far IDs tell what is alike; of many clips, with some of them, evenly taken."""
        chosen = np.linspace(0, len(self.names) - 1, min(_MEASURED, len(self.names))).astype(int).tolist()
        vectors = self.vectors[chosen]
        ids = [tuple(self.ids[i].tolist()) for i in chosen]
        by_prefix = similarity_by_prefix(ids, self.semantic.similarity(vectors, vectors).numpy())
        folders = [os.path.dirname(name) for name in self.names]
        if len(set(folders)) < 2:
            return Quality(by_prefix, None, None)
        alike, chance = [], []
        for i in chosen:
            found = self.nearest(self.vectors[i], 5, without=i)
            alike += [os.path.dirname(item.name) == folders[i] for item in found]
            chance.append((folders.count(folders[i]) - 1) / (len(folders) - 1))
        return Quality(by_prefix, float(np.mean(alike)), float(np.mean(chance)))

    def save(self, path: str) -> None:
        """Writes a file, whole or not at all; raises OutputError."""
        tensors = {f"semantic.{name}": value for name, value in self.semantic.tensors().items()}
        tensors |= {"ids": torch.from_numpy(self.ids), "vectors": self.vectors}
        facts = {"root": self.root, "names": json.dumps(self.names), "weights_hash": self.weights_hash}
        packed = safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()}, facts)
        with output(path) as file:
            try:
                file.write(packed)
            except OSError as error:
                raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def load_index(path: str) -> ClipIndex:
    """What `ClipIndex.save` wrote; raises ConfigError when it is something else."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        names = tuple(json.loads(facts["names"]))
        semantic = {
            name.removeprefix("semantic."): tensor
            for name, tensor in tensors.items()
            if name.startswith("semantic.")
        }
        ids, vectors = tensors["ids"].numpy(), tensors["vectors"]
        if len(ids) != len(names) or len(vectors) != len(names):
            raise ConfigError("its parts are not of one length")
        ids_of = SemanticIds.of_tensors(semantic)
        return ClipIndex(facts["root"], names, ids, vectors, ids_of, facts["weights_hash"])
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, ConfigError) as error:
        raise ConfigError(f"{path} is no index of clips: codec index makes one.") from error


def vectors_of(
    network: CodecNetwork, paths: Sequence[str]
) -> Iterable[tuple[int, torch.Tensor | CodecError]]:
    """The number of each path, with the pooled latents `[dim]` of all its channels, or why there are none."""
    for number, found in enumerate(latents_of(network, paths)):
        if found.error is not None:
            yield number, found.error
        elif not sum(len(row) for row in found.rows):
            yield number, AudioError("it holds no sound")
        else:
            yield number, pooled(torch.cat(found.rows))


def find_index(clip: str) -> str:
    """The index of the folder that a clip is in, or of one above; raises ConfigError when there is none."""
    folder = os.path.dirname(os.path.abspath(clip))
    while True:
        path = os.path.join(folder, FILE)
        if os.path.isfile(path):
            return path
        if folder == os.path.dirname(folder):
            raise ConfigError(f"No folder above {clip} has an index: name one with --index.")
        folder = os.path.dirname(folder)
