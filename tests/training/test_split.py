"""Holding out speakers: never in both parts, never all, about as much as is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.training.split import held_out

RECORDINGS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0.1, 100)), min_size=1, max_size=40)


@given(RECORDINGS, st.floats(0, 0.5), st.integers(0, 9))
@settings(derandomize=True, deadline=None)
def test_no_speaker_is_in_both_parts(recordings: list[tuple[str, float]], share: float, seed: int) -> None:
    speakers, seconds = [s for s, _ in recordings], [x for _, x in recordings]
    held = held_out(speakers, seconds, share, seed)
    assert held == held_out(speakers, seconds, share, seed)
    out = {s for s, h in zip(speakers, held, strict=True) if h}
    kept = {s for s, h in zip(speakers, held, strict=True) if not h}
    assert not out & kept
    assert kept
    assert bool(out) == (share > 0 and len(kept | out) > 1)


def test_many_speakers_give_about_the_share_by_several() -> None:
    speakers = [str(i // 10) for i in range(1000)]
    chosen = []
    for seed in range(5):
        held = held_out(speakers, [1.0] * 1000, 0.05, seed)
        assert sum(held) / 1000 == pytest.approx(0.05, abs=0.015)
        chosen.append(tuple(held))
    assert len(set(chosen)) == 5


def test_one_large_speaker_does_not_take_the_place_of_several() -> None:
    speakers = [*"abcdefghij", "k"]
    for seed in range(10):
        held = held_out(speakers, [1.0] * 10 + [3.0], 0.25, seed)
        assert held[-1] is False
        assert sum(held) == 4


def test_of_two_large_speakers_the_shorter_is_held_out() -> None:
    assert held_out(["a", "a", "b"], [50.0, 50.0, 90.0], 0.01, 0) == [False, False, True]
