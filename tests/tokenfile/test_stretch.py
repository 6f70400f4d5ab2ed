import dataclasses
import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.span import RUN_IN_FRAMES
from tests.tokenfile.examples import FRAME_RATES, Counted, file_of, pipe, some_tokens, streamed, tokens_of


@settings(derandomize=True, deadline=None, max_examples=120)
@given(
    frames=st.integers(1, 600),
    page_frames=st.integers(1, 200),
    sample_rate=st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    frame_rate=st.sampled_from(FRAME_RATES),
    skip=st.sampled_from([0, 3000]),
    known=st.booleans(),
    times=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_stretch_holds_the_samples_asked_for(
    frames, page_frames, sample_rate, frame_rate, skip, known, times
):
    spf = Fraction(sample_rate) / frame_rate
    length = int(frames * spf) - skip
    assume(length > 0)
    tokens = some_tokens(
        frames=frames, sample_rate=sample_rate, frame_rate=frame_rate, n_samples=length, skip=skip
    )
    data = file_of(tokens, page_frames) if known else streamed(tokens, page_frames)
    start, end = sorted(Fraction(time) * length / sample_rate for time in times)
    begin, stop = round(Fraction(float(start)) * sample_rate), round(Fraction(float(end)) * sample_rate)
    assume(float(start) < float(end) and begin < length)

    got = tokens_of(data, start=float(start), end=float(end))

    assert got.n_samples == min(stop, length) - begin
    # The sample where the slice's own first wanted sample is, counted in decoded samples of the whole file.
    position = Fraction(skip + begin - got.skip) / spf
    assert position.denominator == 1
    first = int(position)
    assert np.array_equal(got.codes, tokens.codes[:, :, first : first + got.frames])
    assert first == 0 or got.skip >= RUN_IN_FRAMES * spf
    wanted_end = (skip + begin + got.n_samples) / spf
    assert first + got.frames >= min(frames, wanted_end + 2)
    assert first + got.frames < wanted_end + 4
    # A pipe, and the tokens in memory, give the same.
    assert tokenfile.read(pipe(data), start=float(start), end=float(end)) == got
    assert tokenfile.cut(tokens, float(start), float(end)) == got


@pytest.mark.parametrize(
    "make", [file_of, streamed, lambda tokens, size: streamed(tokens, size, close=False)]
)
def test_only_the_pages_needed_are_read(make):
    tokens = some_tokens(codebooks=16, frames=50_000)
    data = make(tokens, 100)
    file = Counted(data)
    got = tokenfile.read(file, start=500.0, end=502.0)
    assert np.array_equal(got.codes, tokens.codes[:, :, 25_000 - 64 : 25_102])
    # Three pages of 100 frames at 1 kB/s, and the index or the pages' heads.
    assert file.taken < 3 * 2100 + 500 * 12 + 500


def test_open_ends():
    tokens = some_tokens(frames=500)
    data = file_of(tokens, 50)
    assert tokens_of(data, start=0) == tokens
    assert tokens_of(data, end=1000.0) == tokens
    assert tokens_of(data, start=9.0).n_samples == 16000
    assert tokens_of(data, end=1.0).frames == 52
    unclosed = streamed(tokens, 50, close=False)
    assert tokens_of(unclosed, start=9.0).n_samples is None
    assert tokens_of(unclosed, start=9.0, end=9.5).n_samples == 8000
    empty = some_tokens(frames=0)
    assert tokens_of(file_of(empty), start=0) == empty


@pytest.mark.parametrize(
    ("start", "end"),
    [(-1, None), (3, 3), (3, 2), (None, 0), (10.0, None), (11, 12), (float("nan"), None), (0, float("inf"))],
)
def test_a_stretch_outside_of_the_recording_is_an_error(start, end):
    data = file_of(some_tokens(frames=500), 50)
    for file in (io.BytesIO(data), pipe(data)):
        with pytest.raises(ConfigError):
            tokenfile.read(file, start=start, end=end)


def test_a_file_may_start_in_the_middle_of_another():
    tokens = some_tokens(frames=500)
    file = io.BytesIO(b"before" + file_of(tokens, 10))
    file.seek(6)
    assert tokenfile.read(file, start=2.0, end=3.0) == tokenfile.cut(tokens, 2.0, 3.0)


def test_damage_elsewhere_does_not_matter_and_damage_inside_does():
    tokens = some_tokens(frames=500)
    data = bytearray(file_of(tokens, 50))
    data[len(data) // 2] ^= 1
    assert tokens_of(bytes(data), start=8.0) == tokenfile.cut(tokens, 8.0)
    with pytest.raises(TokenFileError, match="page"):
        tokens_of(bytes(data), start=4.0, end=6.0)
    got = tokens_of(bytes(data), start=4.0, end=6.0, conceal=True)
    assert dataclasses.replace(got, codes=tokens.codes[:, :, :1]) == dataclasses.replace(
        tokenfile.cut(tokens, 4.0, 6.0), codes=tokens.codes[:, :, :1]
    )


def test_a_cut_file_is_an_error_unless_concealed():
    tokens = some_tokens(frames=500)
    data = file_of(tokens, 50)
    with pytest.raises(TokenFileError, match="cut off"):
        tokens_of(data[:-1], start=1.0, end=2.0)
    assert tokens_of(data[:-100], start=1.0, end=2.0, conceal=True) == tokenfile.cut(tokens, 1.0, 2.0)


def test_a_damaged_index_is_found_when_it_is_used():
    data = bytearray(file_of(some_tokens(frames=500), 10))
    data[-20] ^= 1
    with pytest.raises(TokenFileError, match="index"):
        tokens_of(bytes(data), start=1.0)
