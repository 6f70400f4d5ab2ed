import dataclasses
import io
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.joints import Length, join
from tests.tokenfile.entropy.examples import TABLES, coded, coded_tokens
from tests.tokenfile.examples import file_of, pipe, some_tokens, streamed, tokens_of
from tests.tokenfile.test_cutting import cut_of


def joined(*files: bytes) -> bytes:
    out = io.BytesIO()
    tokenfile.cat([io.BytesIO(data) for data in files], out)
    return out.getvalue()


@st.composite
def lengths(draw: st.DrawFn, spf: Fraction) -> Length:
    """A recording of at least one sample, as an encoder or a cut leaves it: frames enough, some too many."""
    skip, n_samples = draw(st.integers(0, 2000)), draw(st.integers(1, 4000))
    frames = -(-(skip + n_samples) // spf) + draw(st.integers(0, 5))
    return Length(int(frames), skip, n_samples)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.data(), st.sampled_from([Fraction(320), Fraction(441, 2), Fraction(1), Fraction(512 * 147, 160)]))
def test_recordings_follow_each_other_within_half_a_frame_and_without_drift(data, spf):
    inputs = data.draw(st.lists(lengths(spf), min_size=1, max_size=6))
    parts = join(inputs, spf)
    wanted, frames = inputs[0].skip, 0
    for length, part in zip(inputs, parts, strict=True):
        assert 0 <= part.first <= part.last + part.held
        assert part.last <= length.frames
        assert part.held <= 1
        # Where in the joined file this recording's first sample is decoded.
        starts = (frames - part.first) * spf + length.skip
        assert starts - wanted == part.late
        if length.n_samples >= 2 * spf:
            assert part.first * spf <= length.skip
        frames += part.last - part.first + part.held
        wanted += length.n_samples
    # There is audio for all samples that the joined file promises, with the slack that the last file had.
    last = inputs[-1]
    assert frames * spf - wanted >= last.frames * spf - last.skip - last.n_samples
    if all(length.n_samples >= 2 * spf for length in inputs):
        assert all(abs(part.late) <= spf / 2 for part in parts)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    frames=st.integers(2, 900),
    page_frames=st.integers(1, 130),
    times=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_what_was_cut_anywhere_is_joined_to_the_same_codes(frames, page_frames, times):
    tokens = some_tokens(frames=frames, metadata={"a": "b"})
    data = file_of(tokens, page_frames)
    duration = frames / 50
    borders = sorted({round(time * duration, 4) for time in times} - {0.0, duration})
    pieces = [
        cut_of(data, start, end)
        for start, end in zip([0.0, *borders], [*borders, None], strict=True)
        if end is None or round(Fraction(start) * 16000) < round(Fraction(end) * 16000)
    ]
    assert tokens_of(joined(*pieces)) == tokens


def test_lengths_add_up_to_the_sample():
    lengths = (31_999, 31_681, 31_850, 31_700)
    files = [some_tokens(frames=100, n_samples=n, seed=n) for n in lengths]
    got = tokens_of(joined(*(file_of(tokens, 30) for tokens in files)))
    assert got.n_samples == sum(lengths)
    assert got.frames >= sum(lengths) / 320
    assert np.array_equal(got.codes[:, :, :100], files[0].codes)


def test_pages_are_copied_while_they_fall_on_page_borders():
    one, two = some_tokens(frames=200, seed=1), some_tokens(frames=130, seed=2)
    got = joined(file_of(one, 50), file_of(two, 50))
    whole = dataclasses.replace(one, codes=np.concatenate([one.codes, two.codes], 2), n_samples=330 * 320)
    assert got == file_of(whole, 50)


def test_a_short_page_at_a_joint_is_filled_from_the_next_file():
    one, two = some_tokens(frames=35, seed=1), some_tokens(frames=27, seed=2)
    got = joined(file_of(one, 10), file_of(two, 8))
    whole = dataclasses.replace(one, codes=np.concatenate([one.codes, two.codes], 2), n_samples=62 * 320)
    assert got == file_of(whole, 10)


def test_streams_count_with_the_frames_they_have():
    unfinished = streamed(some_tokens(frames=45), 10, close=False)
    finished = file_of(some_tokens(frames=50), 10)
    got = tokens_of(joined(unfinished, finished))
    assert (got.frames, got.n_samples) == (90, 90 * 320)
    # A result whose end is not known is open as well.
    open_end = joined(finished, unfinished)
    assert tokens_of(open_end).frames == 90
    assert tokens_of(open_end).n_samples is None
    assert open_end == streamed(tokens_of(open_end), 10, close=False)


def test_files_without_samples_add_nothing():
    tokens, empty = some_tokens(frames=45), file_of(some_tokens(frames=0))
    assert tokens_of(joined(empty, file_of(tokens, 10), empty)) == tokens
    assert tokens_of(joined(empty, empty)) == some_tokens(frames=0)


def test_pipes_and_paths_can_be_mixed_and_one_may_be_replaced(tmp_path):
    one, two = some_tokens(frames=45, seed=1), some_tokens(frames=27, seed=2)
    path = tmp_path / "a.cdc"
    tokenfile.write(path, one)
    expected = joined(path.read_bytes(), file_of(two), path.read_bytes())
    tokenfile.cat([path, pipe(file_of(two)), path], path)
    assert path.read_bytes() == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"weights_hash": "f" * 16},
            r"input 2: it has model m \(f{16}\), but input 1 has model m \(no hash\)",
        ),
        ({"sample_rate": 8000}, "8000 Hz, but input 1 has 16000 Hz"),
        ({"channels": 2}, r"2 channel\(s\), but input 1 has 1"),
        ({"codebooks": 3}, r"3 codebook\(s\), but input 1 has 4"),
        ({"sizes": (1024, 512, 1024, 1024)}, "codebooks of 1024, 512"),
        ({"frame_rate": Fraction(75)}, "75 frames per second"),
    ],
)
def test_files_that_do_not_fit_are_refused_with_the_difference(change, text):
    one = some_tokens(model="m")
    other = some_tokens(**{"model": "m", **change})
    with pytest.raises(ConfigError, match=text):
        joined(file_of(one), file_of(other))


def test_damaged_files_are_named(tmp_path):
    path, bad = tmp_path / "a.cdc", tmp_path / "b.cdc"
    tokenfile.write(path, some_tokens())
    damaged = bytearray(path.read_bytes())
    damaged[150] ^= 1
    for data in (bytes(damaged), path.read_bytes()[:-1], b"something"):
        bad.write_bytes(data)
        with pytest.raises(TokenFileError, match=r"b\.cdc: "):
            tokenfile.cat([path, bad], tmp_path / "c.cdc")
    assert not (tmp_path / "c.cdc").exists()
    with pytest.raises(ConfigError, match="nothing to join"):
        tokenfile.cat([], tmp_path / "c.cdc")


def test_an_hour_of_files_is_joined_in_little_memory(tmp_path):
    path = tmp_path / "a.cdc"
    tokenfile.write(path, some_tokens(codebooks=12, frames=45_003))
    tracemalloc.start()
    tokenfile.cat([path] * 4, tmp_path / "b.cdc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tokenfile.read_header(tmp_path / "b.cdc").n_samples == 4 * 45_003 * 320
    assert peak < 4 << 20


@settings(derandomize=True, deadline=None, max_examples=10)
@given(cut_at=st.floats(0.1, 2.3), page_frames=st.integers(20, 60))
def test_entropy_coded_files_are_joined_with_their_tables(cut_at, page_frames):
    """Also with a plain file behind a coded one: the result is coded as the first is."""
    tokens = coded_tokens(frames=120)
    whole = coded(tokens, page_frames=page_frames)
    head, tail = cut_of(whole, 0, cut_at), cut_of(whole, cut_at)
    out = io.BytesIO()
    tokenfile.cat([io.BytesIO(head), io.BytesIO(tail)], out, tables=TABLES)
    assert out.getvalue() == whole
    plain_tail = io.BytesIO(cut_of(file_of(tokens, page_frames), cut_at))
    out = io.BytesIO()
    tokenfile.cat([io.BytesIO(head), plain_tail], out, tables=TABLES)
    assert out.getvalue() == whole
