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


def cut_of(data: bytes, start: float | None = None, end: float | None = None) -> bytes:
    out = io.BytesIO()
    tokenfile.cut_file(io.BytesIO(data), out, start, end)
    return out.getvalue()


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
def test_a_cut_file_holds_the_samples_of_reading_the_stretch(
    frames, page_frames, sample_rate, frame_rate, skip, known, times
):
    spf = Fraction(sample_rate) / frame_rate
    length = int(frames * spf) - skip
    assume(length > 0)
    tokens = some_tokens(
        frames=frames, sample_rate=sample_rate, frame_rate=frame_rate, n_samples=length, skip=skip
    )
    data = file_of(tokens, page_frames) if known else streamed(tokens, page_frames)
    start, end = sorted(float(Fraction(time) * length / sample_rate) for time in times)
    assume(start < end and round(Fraction(start) * sample_rate) < length)

    got = cut_of(data, start, end)

    stretch, part = tokens_of(data, start=start, end=end), tokens_of(got)
    assert part.n_samples == stretch.n_samples
    # The wanted samples are the same ones: the cut file has more frames before and after them.
    before = Fraction(part.skip - stretch.skip) / spf
    assert before.denominator == 1
    held = part.codes[:, :, int(before) : int(before) + stretch.frames]
    assert np.array_equal(held, stretch.codes)
    # Its frames are whole pages of the file, and begin with one.
    wanted = round(Fraction(start) * sample_rate)
    first = (skip + wanted - part.skip) / spf
    assert first.denominator == 1
    assert first % page_frames == 0
    assert np.array_equal(part.codes, tokens.codes[:, :, int(first) : int(first) + part.frames])
    assert first == 0 or part.skip >= RUN_IN_FRAMES * spf


def test_pages_are_copied_byte_for_byte():
    tokens = some_tokens(frames=900, codebooks=8)
    data = file_of(tokens, 128)
    got = cut_of(data, 6.0, 9.0)
    # Numbers below 128 take one byte: only it and the checksum of a page change.
    size = 128 * 8 * 10 // 8
    for number in range(1, 4):
        layers = data[data.index(b"\xd3\x9c" + bytes([number])) :][6 : 6 + size]
        assert layers in got
    assert tokens_of(got).frames == 3 * 128


def test_a_cut_reads_only_the_pages_it_needs():
    tokens = some_tokens(frames=100_000, codebooks=1)
    file = Counted(file_of(tokens, 100))
    size = len(file.getvalue())
    tokenfile.cut_file(file, io.BytesIO(), 1000.0, 1004.0)
    assert file.taken < size // 20


def test_a_cut_through_a_pipe_is_the_same():
    data = file_of(some_tokens(frames=900), 100)
    out = io.BytesIO()
    tokenfile.cut_file(pipe(data, 1000), out, 5.0, 7.5)
    assert out.getvalue() == cut_of(data, 5.0, 7.5)


def test_a_cut_of_all_is_the_file_itself():
    for data in (file_of(some_tokens(frames=500), 20), file_of(some_tokens(frames=0))):
        assert cut_of(data, 0) == data
    unfinished = streamed(some_tokens(frames=500), 50, close=False)
    assert cut_of(unfinished, 0) == unfinished


def test_a_cut_of_an_unfinished_stream_has_an_end_when_the_cut_does():
    unfinished = streamed(some_tokens(frames=500), 50, close=False)
    assert tokens_of(cut_of(unfinished, 2.0)).n_samples is None
    assert tokens_of(cut_of(unfinished, 2.0, 3.0)).n_samples == 16000


def test_a_cut_of_a_cut_is_the_cut_of_the_whole():
    tokens = some_tokens(frames=2000)
    data = file_of(tokens, 50)
    twice = cut_of(cut_of(data, 10.0, 30.0), 4.0, 9.0)
    assert twice == cut_of(data, 14.0, 19.0)


def test_a_path_can_be_cut_in_place(tmp_path):
    path = tmp_path / "a.cdc"
    tokenfile.write(path, some_tokens(frames=900), page_frames=50)
    whole = path.read_bytes()
    tokenfile.cut_file(path, path, 3.0, 4.0)
    assert path.read_bytes() == cut_of(whole, 3.0, 4.0)


def test_damage_inside_is_an_error_and_outside_is_not_seen():
    data = bytearray(file_of(some_tokens(frames=900), 50))
    data[len(data) // 2] ^= 1
    assert tokens_of(cut_of(bytes(data), 0.0, 1.0)).n_samples == 16000
    with pytest.raises(TokenFileError, match="page 9"):
        cut_of(bytes(data), 8.9, 9.1)


def test_a_stretch_outside_of_the_recording_is_an_error_and_leaves_no_file(tmp_path):
    data = file_of(some_tokens(frames=500), 50)
    for start, end in ((-1, None), (3, 3), (10.0, None), (None, float("nan"))):
        with pytest.raises(ConfigError):
            tokenfile.cut_file(io.BytesIO(data), tmp_path / "a.cdc", start, end)
    assert not list(tmp_path.iterdir())


def test_metadata_stays():
    tokens = dataclasses.replace(some_tokens(frames=500), metadata={"title": "Tee"})
    assert tokens_of(cut_of(file_of(tokens, 50), 2.0, 3.0)).metadata == {"title": "Tee"}
