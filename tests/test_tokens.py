import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.tokens import Tokens, codebooks_for
from tests.tokenfile.examples import any_tokens, some_tokens


def test_tokens_know_their_shape_and_rate():
    tokens = some_tokens(2, 16, 500)
    assert (tokens.channels, tokens.codebooks, tokens.frames) == (2, 16, 500)
    assert tokens.kbps == pytest.approx(8.0)
    assert tokens.duration == 10.0


def test_duration_of_an_unfinished_stream_is_that_of_its_frames():
    assert some_tokens(frames=100, n_samples=None).duration == 2.0
    assert some_tokens(frames=100, n_samples=None, skip=16000).duration == 1.0


@settings(derandomize=True, deadline=None, max_examples=30)
@given(any_tokens(50), st.data())
def test_a_lower_rate_is_a_prefix_of_the_codebooks(tokens, data):
    keep = data.draw(st.integers(1, tokens.codebooks))
    few = tokens.at(codebooks=keep)
    assert np.array_equal(few.codes, tokens.codes[:, :keep])
    assert few.codebook_sizes == tokens.codebook_sizes[:keep]
    assert tokens.at(kbps=few.kbps) == few


@pytest.mark.parametrize(("kbps", "codebooks"), [(0.5, 1), (3, 6), (3.4, 6), (8, 16), (None, 16)])
def test_a_rate_means_a_number_of_codebooks(kbps, codebooks):
    assert codebooks_for(kbps, None, Fraction(50), (1024,) * 16) == codebooks


@pytest.mark.parametrize("kbps", [0, -1, 0.49, 8.1, float("nan"), float("inf")])
def test_a_rate_that_is_not_there_is_an_error_that_names_those_that_are(kbps):
    with pytest.raises(ConfigError, match=r"0\.5, 1, 1\.5, .* or 8 kbps"):
        some_tokens(codebooks=16).at(kbps=kbps)


@pytest.mark.parametrize("codebooks", [0, 17, -1, 1.5, True])
def test_codebooks_that_are_not_there_are_an_error(codebooks):
    with pytest.raises(ConfigError, match="from 1 to 16"):
        some_tokens(codebooks=16).at(codebooks=codebooks)


def test_a_rate_and_a_number_of_codebooks_together_are_an_error():
    with pytest.raises(ConfigError, match="not both"):
        some_tokens().at(kbps=1, codebooks=1)


def test_equality_is_about_codes_and_all_fields():
    tokens = some_tokens(metadata={"a": "b"})
    assert tokens == some_tokens(metadata={"a": "b"})
    assert tokens != some_tokens(seed=1, metadata={"a": "b"})
    assert tokens != "tokens"
    changes: list[tuple[str, Any]] = [
        ("sample_rate", 8000),
        ("n_samples", None),
        ("skip", 1),
        ("model", "m"),
        ("weights_hash", "0" * 16),
    ]
    for name, value in [*changes, ("metadata", {}), ("frame_rate", Fraction(25))]:
        assert dataclasses.replace(tokens, **{name: value}) != tokens


def test_metadata_is_a_copy():
    metadata = {"a": "b"}
    tokens = some_tokens(metadata=metadata)
    metadata["a"] = "c"
    assert tokens.metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("codes", np.zeros((1, 4, 10), dtype=np.int64)),
        ("codes", np.zeros((4, 10), dtype=np.uint16)),
        ("codes", np.zeros((9, 4, 10), dtype=np.uint16)),
        ("codes", np.zeros((0, 4, 10), dtype=np.uint16)),
        ("codes", np.zeros((1, 3, 10), dtype=np.uint16)),
        ("codes", np.full((1, 4, 10), 1024, dtype=np.uint16)),
        ("codes", [[[1]]]),
        ("codebook_sizes", (1024, 1024, 1024, 1)),
        ("codebook_sizes", (1024, 1024, 1024, 65537)),
        ("codebook_sizes", ()),
        ("frame_rate", Fraction(0)),
        ("frame_rate", Fraction(-50)),
        ("frame_rate", 50.0),
        ("frame_rate", Fraction(1, 1 << 33)),
        ("sample_rate", 0),
        ("sample_rate", 16000.0),
        ("sample_rate", 1_000_000),
        ("n_samples", -1),
        ("n_samples", 1 << 50),
        ("skip", -1),
        ("model", "x" * 256),
        ("model", "\x1b[2J"),
        ("model", 3),
        ("weights_hash", "0123"),
        ("weights_hash", "G" * 16),
        ("metadata", {"a": "x" * 65536}),
        ("metadata", {str(i): "" for i in range(257)}),
        ("metadata", {"a": "\ud800"}),
        ("metadata", {"a": 1}),
    ],
)
def test_values_out_of_range_are_errors(name, value):
    with pytest.raises(ConfigError):
        dataclasses.replace(some_tokens(codebooks=4), **{name: value})


def test_numbers_of_numpy_become_plain_ones():
    tokens = some_tokens(sample_rate=np.int64(16000), n_samples=np.int32(5), skip=np.uint8(1))
    assert [type(value) for value in (tokens.sample_rate, tokens.n_samples, tokens.skip)] == [int] * 3


def test_tokens_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        some_tokens().skip = 3  # type: ignore[misc]
    assert isinstance(some_tokens(), Tokens)
