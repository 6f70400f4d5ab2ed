"""Figures of codebooks on codes whose statistics are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import codec
from codec.evaluation.context import information
from codec.evaluation.health import HealthCheck, distinct_paths, entropy, gini
from codec.evaluation.probe import Probe, probe

SIZE = 64
RANDOM = np.random.default_rng(0)
COUNTS = hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 1000))


def checked(codes: np.ndarray, size: int = SIZE) -> HealthCheck:
    """The check of codes `[codebooks, frames]`, half of which are stable."""
    check = HealthCheck("model", [size] * len(codes))
    frames = codes.shape[1]
    stable = np.full((3, len(codes)), frames // 2)
    check.add(Probe("model", codes[None].astype(np.uint16), stable, (frames, frames, frames)))
    return check


@settings(derandomize=True, deadline=None)
@given(COUNTS)
def test_entropy_and_gini_stay_in_their_ranges(counts: np.ndarray) -> None:
    if counts.sum() == 0:
        assert math.isnan(entropy(counts))
        assert math.isnan(gini(counts))
        return
    used = int((counts > 0).sum())
    assert -1e-9 <= entropy(counts) <= math.log2(used) + 1e-9
    assert -1e-9 <= gini(counts) <= 1 - 1 / len(counts) + 1e-9


def test_entropy_and_gini_of_equal_and_of_lonely_counts() -> None:
    assert entropy(np.full(32, 7)) == pytest.approx(5)
    assert gini(np.full(32, 7)) == pytest.approx(0)
    assert entropy(np.eye(1, 32)[0]) == 0
    assert gini(np.eye(1, 32)[0]) == pytest.approx(31 / 32)


def test_gini_is_the_mean_difference_over_twice_the_mean() -> None:
    counts = RANDOM.integers(0, 100, 40)
    expected = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert gini(counts) == pytest.approx(expected)


def test_paths_are_the_distinct_beginnings() -> None:
    codes = RANDOM.integers(0, 6, (4, 500))
    expected = [len({tuple(column[:k]) for column in codes.T}) for k in range(1, 5)]
    assert distinct_paths([codes[:, :200], codes[:, 200:]], 4) == expected


def test_codes_of_chance_know_nothing_of_each_other() -> None:
    health = checked(RANDOM.integers(0, SIZE, (3, 5000))).health()
    for stage in health.stages:
        assert stage.entropy == pytest.approx(6, abs=0.02)
        assert stage.perplexity == pytest.approx(64, rel=0.02)
        assert stage.dead == 0
        # Naive counts of pairs would claim half a bit or more here.
        assert stage.entropy_given_previous_frame == pytest.approx(stage.entropy, abs=0.02)
        assert stage.entropy_given_earlier_stage == pytest.approx(stage.entropy, abs=0.02)


def test_codes_that_follow_from_each_other_are_found_out() -> None:
    first = np.cumsum(RANDOM.integers(0, 2, 5000)) % SIZE  # stays or goes one up: one bit a frame
    second = (first * 5 + 3) % SIZE
    one, two = checked(np.stack([first, second])).health().stages
    assert one.entropy > 5.9
    assert 0.95 < one.entropy_given_previous_frame < 1.3
    assert one.entropy_given_earlier_stage == one.entropy
    assert two.entropy_given_earlier_stage < 0.3
    assert one.paths == two.paths == SIZE


def test_information_is_never_negative_and_never_more_than_there_is() -> None:
    for noise in (0.0, 0.3, 0.7, 1.0):
        context = RANDOM.integers(0, 16, 4000)
        code = np.where(RANDOM.random(4000) < noise, RANDOM.integers(0, 16, 4000), context)
        share = 1 - noise + noise / 16
        truth = 4 + share * math.log2(share)
        truth += 15 * (noise / 16) * math.log2(noise / 16) if noise else 0
        found = information([(context, code)], 16)
        assert -1e-12 <= found <= truth + 0.05
        assert found >= truth - 0.15
    assert information([], 16) == 0
    assert information([(context[:3], code[:3])], 16) == 0


def test_frames_before_and_after_a_cut_are_not_neighbours() -> None:
    codes = np.arange(4000) % 2
    check = HealthCheck("model", [2])
    for start in range(0, 4000, 2):  # pairs (0, 1), always
        check.add(
            Probe(
                "model", codes[None, None, start : start + 2].astype(np.uint16), np.zeros((3, 1)), (2, 2, 2)
            )
        )
    (stage,) = check.health().stages
    assert stage.entropy == 1
    assert stage.entropy_given_previous_frame == pytest.approx(1, abs=0.01)


def test_dead_entries_and_stability_are_counted() -> None:
    health = checked(np.array([[0, 1, 1, 3] * 10]), 8).health()
    (stage,) = health.stages
    assert (stage.used, stage.dead, stage.size) == (3, 5, 8)
    assert stage.stable_shift == stage.stable_gain == stage.stable_noise == 0.5
    assert health.frames == 40


def test_no_codes_have_no_figures() -> None:
    health = HealthCheck("model", [8, 8]).health()
    assert health.frames == 0
    assert all(math.isnan(stage.entropy) and math.isnan(stage.stable_gain) for stage in health.stages)
    assert [stage.paths for stage in health.stages] == [0, 0]


def test_a_probe_holds_all_codes_and_what_stays(model: codec.Codec, speech: np.ndarray) -> None:
    x = speech[None, :32000]
    found = probe("model", model, x, 16000)
    np.testing.assert_array_equal(found.codes, model.encode(x, 16000).codes)
    assert found.compared[1:] == (found.codes.shape[2],) * 2
    shares = found.stable / np.array(found.compared)[:, None]
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares[:, 0].min() > 0.2  # the first codebook is the steadiest
    assert (shares[:, 0] > shares[:, -1]).all()


def test_a_probe_of_silence_is_stable_under_gain(model: codec.Codec) -> None:
    found = probe("model", model, np.zeros((2, 16000), np.float32), 16000)
    np.testing.assert_array_equal(found.stable[1:], 2 * found.codes.shape[2])


def test_a_probe_survives_being_written_down(model: codec.Codec, speech: np.ndarray) -> None:
    found = probe("model", model, speech[None, :16000], 16000)
    again = Probe.of_plain(found.plain())
    np.testing.assert_array_equal(again.codes, found.codes)
    np.testing.assert_array_equal(again.stable, found.stable)
    assert again.compared == found.compared
