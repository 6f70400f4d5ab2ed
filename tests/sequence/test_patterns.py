"""Every pattern inverts exactly, streams as it works offline, and refuses ids that it cannot have made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import sequence
from codec.errors import ConfigError
from codec.sequence import BOS, EOS, PAD, Pattern

EXACT = settings(derandomize=True, deadline=None, max_examples=150)


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    """Any pattern, with codebooks of different sizes."""
    kind = draw(st.sampled_from(["flatten", "coarse_first", "levels", "delay", "parallel", "hierarchical"]))
    if kind == "hierarchical":
        strides = draw(st.sampled_from([(4, 2, 1), (2, 1), (1,), (8, 4, 1), (6, 3, 1), (4, 2)]))
        stages = draw(st.integers(1, 2))
        count = stages * sum(strides[0] // stride for stride in strides)
        sizes = draw(st.lists(st.integers(2, 30), min_size=count, max_size=count))
        return sequence.hierarchical(sizes, strides, stages)
    sizes = draw(st.lists(st.integers(2, 2000), min_size=1, max_size=6))
    shared = draw(st.booleans())
    if kind == "flatten":
        return sequence.flatten(sizes)
    if kind == "parallel":
        return sequence.parallel(sizes, shared=shared)
    if kind == "delay":
        delays = draw(st.lists(st.integers(0, 5), min_size=len(sizes), max_size=len(sizes)))
        lowest = min(delays)
        return sequence.delay(
            sizes, draw(st.sampled_from([None, [d - lowest for d in delays]])), shared=shared
        )
    block = draw(st.sampled_from([None, 1, 2, 3, 7]))
    coarse = draw(st.integers(1, len(sizes)))
    rest = len(sizes) - coarse
    levels = [coarse] + [rest] * (rest > 0)
    return sequence.coarse_first(sizes, levels if kind == "levels" else None, block)


@st.composite
def coded(draw: st.DrawFn) -> tuple[Pattern, np.ndarray]:
    """A pattern, and codes that it can encode."""
    pattern = draw(patterns())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = np.array(pattern.vocabulary.codebook_sizes)[:, None]
    return pattern, rng.integers(0, sizes, (len(sizes), draw(st.integers(0, 20)))).astype(np.uint16)


def pieces(whole: np.ndarray, cuts: list[int], axis: int) -> list[np.ndarray]:
    return np.split(whole, sorted(min(cut, whole.shape[axis]) for cut in cuts), axis=axis)


@EXACT
@given(coded(), st.booleans(), st.booleans(), st.integers(0, 3))
def test_decoding_gives_back_what_was_encoded(
    found: tuple[Pattern, np.ndarray], bos: bool, eos: bool, padding: int
) -> None:
    pattern, codes = found
    ids = pattern.encode(codes, bos=bos, eos=eos)
    if eos:
        ids = np.concatenate([ids, np.full((padding, *pattern.step), PAD)])
    back = pattern.decode(ids)
    assert back.dtype == np.uint16
    assert np.array_equal(back, codes)


@EXACT
@given(coded())
def test_ids_are_below_the_vocabulary_size_and_as_many_as_promised(found: tuple[Pattern, np.ndarray]) -> None:
    pattern, codes = found
    ids = pattern.encode(codes)
    assert ids.min() >= 0
    assert ids.max() < pattern.vocabulary.size
    assert len(ids) == pattern.length(codes.shape[1]) + 2
    assert (ids[0] == BOS).all()
    assert (ids[-1] == EOS).all()


@EXACT
@given(coded(), st.lists(st.integers(0, 20), max_size=5))
def test_a_stream_of_frames_makes_the_same_ids(found: tuple[Pattern, np.ndarray], cuts: list[int]) -> None:
    pattern, codes = found
    stream = pattern.id_stream()
    parts = [stream.push(piece) for piece in pieces(codes, cuts, 1)]
    assert np.array_equal(
        np.concatenate([*parts, stream.flush()]), pattern.encode(codes, bos=False, eos=False)
    )


@EXACT
@given(coded(), st.lists(st.integers(0, 120), max_size=5))
def test_a_stream_of_ids_makes_the_same_frames(found: tuple[Pattern, np.ndarray], cuts: list[int]) -> None:
    pattern, codes = found
    stream = pattern.code_stream()
    parts = [stream.push(piece) for piece in pieces(pattern.encode(codes, bos=False, eos=False), cuts, 0)]
    assert np.array_equal(np.concatenate([*parts, stream.flush()], axis=1), codes)


@EXACT
@given(coded(), st.integers(0, 200))
def test_what_a_model_has_not_finished_gives_a_beginning_of_the_codes(
    found: tuple[Pattern, np.ndarray], kept: int
) -> None:
    pattern, codes = found
    if isinstance(pattern, sequence.BlockPattern) and pattern.frames is None and len(pattern.passes) > 1:
        pattern = sequence.flatten(pattern.vocabulary.codebook_sizes)
    ids = pattern.encode(codes, eos=False)[:kept]
    back = pattern.decode(ids, partial=True)
    assert np.array_equal(back, codes[:, : back.shape[1]])


@EXACT
@given(coded(), st.integers(0, 10**6), st.integers(-5, 20000))
def test_any_changed_id_is_refused_or_means_other_codes(
    found: tuple[Pattern, np.ndarray], place: int, value: int
) -> None:
    pattern, codes = found
    ids = pattern.encode(codes, bos=False, eos=False)
    flat = ids.reshape(-1)
    if not flat.size or flat[place % flat.size] == value:
        return
    flat[place % flat.size] = value
    try:
        back = pattern.decode(ids)
    except ConfigError:
        return
    assert not np.array_equal(back, codes)


@EXACT
@given(patterns())
def test_a_pattern_survives_being_stored(pattern: Pattern) -> None:
    assert sequence.from_plain(sequence.to_plain(pattern)) == pattern


def test_orders_are_those_of_the_literature() -> None:
    codes = np.arange(6).reshape(3, 2)  # codebook by frame
    sizes = (10, 10, 10)

    def order(pattern: Pattern) -> list[int]:
        ids = pattern.encode(codes, bos=False, eos=False) - 3
        return [int(i) for i in ids % 10]

    assert order(sequence.flatten(sizes)) == [0, 2, 4, 1, 3, 5]
    assert order(sequence.coarse_first(sizes)) == [0, 1, 2, 3, 4, 5]
    assert order(sequence.coarse_first(sizes, levels=(1, 2))) == [0, 1, 2, 4, 3, 5]
    assert order(sequence.coarse_first(sizes, frames=1)) == [0, 2, 4, 1, 3, 5]
    delayed = sequence.delay(sizes).encode(codes, bos=False, eos=False)
    assert delayed.tolist() == [[3, 0, 0], [4, 5, 0], [0, 6, 7], [0, 0, 8]]


def test_codes_of_several_scales_are_read_as_a_tree() -> None:
    levels = [np.array([0, 10]), np.array([1, 2, 11, 12]), np.array([3, 4, 5, 6, 13, 14, 15, 16])]
    codes = sequence.join_levels(levels)
    ids = sequence.hierarchical([20] * 7).encode(codes, bos=False, eos=False)
    assert ((ids - 3) % 20).tolist() == [0, 1, 3, 4, 2, 5, 6, 10, 11, 13, 14, 12, 15, 16]
    back = sequence.split_levels(codes, (4, 2, 1))
    assert all(np.array_equal(a, b) for a, b in zip(levels, back, strict=True))


@EXACT
@given(coded())
def test_the_codebook_of_every_id_is_known_from_its_place(found: tuple[Pattern, np.ndarray]) -> None:
    pattern, codes = found
    if isinstance(pattern, sequence.BlockPattern) and codes.shape[1] % (pattern.frames or 1) == 0:
        ids = pattern.encode(codes, bos=False, eos=False)
        ends = np.append(pattern.vocabulary.offsets, pattern.vocabulary.size)
        for place, one in enumerate(ids):
            book = pattern.codebook_at(place, codes.shape[1])
            assert ends[book] <= one < ends[book + 1]


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a float code": (lambda: sequence.flatten([4]).encode(np.zeros((1, 2))), "integers"),
    "a code too large": (lambda: sequence.flatten([4]).encode(np.full((1, 2), 4)), "do not have"),
    "two channels": (lambda: sequence.flatten([4]).encode(np.zeros((2, 1, 2), int)), "channels"),
    "half a frame": (lambda: sequence.flatten([4, 4]).decode(np.array([3])), "within a frame"),
    "out of turn": (lambda: sequence.flatten([4, 4]).decode(np.array([3, 3])), "codebook 1"),
    "after the end": (lambda: sequence.flatten([4]).decode(np.array([3, EOS, 3])), "After EOS"),
    "a second BOS": (lambda: sequence.flatten([4]).decode(np.array([BOS, 3, BOS])), "no code"),
    "no shape": (lambda: sequence.delay([4, 4]).decode(np.array([3, 3])), r"\[n, 2\]"),
    "too few steps": (lambda: sequence.delay([4, 4]).decode(np.array([[3, 0]])), "no whole frame"),
    "an end cut off": (lambda: sequence.delay([4, 4]).decode(np.array([[3, 0], [3, 3]])), "end is missing"),
    "no pad before": (lambda: sequence.delay([4, 4]).decode(np.array([[3, 3], [0, 3]])), "only be PAD"),
    "levels that miss": (lambda: sequence.coarse_first([4, 4], [1]), "add up to 2"),
    "strides that rise": (lambda: sequence.hierarchical([4] * 3, (1, 2)), "Strides"),
    "too few codebooks": (lambda: sequence.hierarchical([4] * 3), "7 codes a frame"),
    "negative delays": (lambda: sequence.delay([4, 4], [0, -1]), "delay"),
    "no zero delay": (lambda: sequence.delay([4, 4], [1, 2]), "smallest delay"),
    "a stored nothing": (lambda: sequence.from_plain({}), "no pattern"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_with_a_reason(case: str) -> None:
    call, reason = WRONG[case]
    with pytest.raises(ConfigError, match=reason):
        call()
