"""Clips that are alike share the beginnings of their IDs."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from codec.errors import ConfigError
from codec.quantize.semantic_ids import PrefixIndex, SemanticIds, pooled, shared_prefix, similarity_by_prefix


def clips(speakers: int = 12, each: int = 20) -> tuple[torch.Tensor, list[int]]:
    """Pooled vectors of clips of speakers: a centre each, and something of the moment."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(speakers, 16, generator=generator) * 2
    moments = torch.randn(speakers, each, 16, generator=generator)
    return (centres[:, None] + moments).flatten(0, 1), [k for k in range(speakers) for _ in range(each)]


def test_mean_similarity_rises_with_the_shared_prefix() -> None:
    x, _ = clips()
    ids = SemanticIds(x, codebooks=3, size=8)
    found = similarity_by_prefix(ids.of(x), ids.similarity(x, x).numpy())
    assert [length for length, _, _ in found][:3] == [0, 1, 2]
    means = [mean for _, mean, _ in found]
    assert all(later > earlier for earlier, later in pairwise(means)), found


def test_the_index_finds_clips_of_the_same_speaker() -> None:
    x, speakers = clips()
    ids = SemanticIds(x, codebooks=3, size=8).of(x)
    index = PrefixIndex()
    for name, clip in enumerate(ids):
        index.add(name, clip)
    right = total = 0
    for name, clip in enumerate(ids):
        others = [other for other, _ in index.nearest(clip, 6) if other != name][:5]
        right += sum(speakers[int(str(other))] == speakers[name] for other in others)
        total += len(others)
    assert right / total > 0.5  # chance is 1 in 12


def test_the_index_goes_from_long_prefixes_to_short_ones() -> None:
    index = PrefixIndex()
    for name, clip in {"a": (1, 2, 3), "b": (1, 2, 4), "c": (1, 9, 9), "d": (7, 7, 7)}.items():
        index.add(name, clip)
    assert index.nearest((1, 2, 3), 9) == [("a", 3), ("b", 2), ("c", 1), ("d", 0)]
    assert index.nearest((1, 2, 5), 2) == [("a", 2), ("b", 2)]
    assert index.nearest((5,), 1) == [("a", 0)]
    assert shared_prefix((1, 2, 3), (1, 2)) == 2


def test_a_clip_is_the_mean_and_the_spread_of_its_latents() -> None:
    assert pooled(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).tolist() == [2.0, 0.0, 1.0, 0.0]
    with pytest.raises(ConfigError, match="one frame or more"):
        pooled(torch.zeros(0, 2))


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ConfigError, match="16 clips or more"):
        SemanticIds(torch.randn(9, 4))
