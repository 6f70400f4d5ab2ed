import dataclasses
import io
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.checksum import sealed
from codec.tokenfile.header import header_bytes
from codec.tokenfile.pages import Page, pack_page, page_bytes
from codec.tokens import Tokens
from tests.tokenfile.examples import file_of, pipe, some_tokens, streamed, tokens_of


def small_files() -> dict[str, bytes]:
    """Files of every shape of the format: few and many pages, known and unknown length, one bit to many."""
    tokens = some_tokens(2, sizes=(1024, 7, 65536), frames=23, model="m", weights_hash="0123456789abcdef")
    bits = some_tokens(1, sizes=(2,), frames=19, metadata={"title": "x"}, skip=5)
    return {
        "one page": file_of(tokens),
        "few pages": file_of(tokens, 10),
        "with an index": file_of(bits, 1),
        "empty": file_of(some_tokens(frames=0)),
        "stream": streamed(tokens, 10),
        "stream with an index": streamed(bits, 1),
        "empty stream": streamed(some_tokens(frames=0), 10),
        "stream without an end": streamed(tokens, 10, close=False),
    }


@pytest.mark.parametrize("name", small_files())
def test_every_flipped_byte_is_found(name):
    data = small_files()[name]
    for at in range(len(data)):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= flip
            with pytest.raises(TokenFileError):
                tokens_of(bytes(damaged))


@pytest.mark.parametrize("name", ["one page", "few pages", "with an index", "empty"])
def test_a_file_of_known_length_that_is_cut_anywhere_is_an_error(name):
    data = small_files()[name]
    for size in range(len(data)):
        with pytest.raises(TokenFileError):
            tokens_of(data[:size])


@pytest.mark.parametrize("name", ["stream", "stream with an index", "stream without an end"])
def test_a_stream_that_is_cut_anywhere_gives_its_whole_pages(name):
    data = small_files()[name]
    whole = tokens_of(data)
    header = tokenfile.read_header(pipe(data))
    start = len(header_bytes(header))
    # Where in the file each frame's page ends.
    ends, end = [], start
    for first in range(0, whole.frames, header.page_frames):
        codes = whole.codes[:, :, first : first + header.page_frames]
        end += len(pack_page(first // header.page_frames, codes, header))
        ends += [end] * codes.shape[2]
    for size in range(start, len(data)):
        got = tokens_of(data[:size])
        assert got.frames == sum(end <= size for end in ends)
        assert np.array_equal(got.codes, whole.codes[:, :, : got.frames])
        assert got.n_samples is None


def test_a_cut_file_says_how_much_of_it_is_whole():
    data = file_of(some_tokens(frames=500), 100)
    with pytest.raises(TokenFileError, match=r"cut off: 4\.00 of 10\.00 s are whole"):
        tokens_of(data[: len(data) // 2])
    got = tokens_of(data[: len(data) // 2], conceal=True)
    assert got == dataclasses.replace(
        some_tokens(frames=500), codes=some_tokens(frames=500).codes[:, :, :200], n_samples=None
    )


def test_the_error_names_the_page_and_its_seconds():
    tokens = some_tokens(frames=600, codebooks=8)
    data = bytearray(file_of(tokens, 128))
    header = tokenfile.header_of(tokens, 128)
    page = len(pack_page(0, tokens.codes[:, :, :128], header))
    data[len(header_bytes(header)) + 3 * page + 200] ^= 4
    with pytest.raises(TokenFileError, match=r"page 3 \(7\.68-10\.24 s\) is damaged"):
        tokens_of(bytes(data))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.sampled_from(["few pages", "with an index", "stream", "stream with an index"]), st.data())
def test_concealing_a_flip_keeps_the_timing_and_all_other_pages(name, data):
    file = small_files()[name]
    whole = tokens_of(file)
    header = tokenfile.read_header(pipe(file))
    at = data.draw(st.integers(len(header_bytes(header)), len(file) - 1))
    damaged = bytearray(file)
    damaged[at] ^= data.draw(st.integers(1, 255))
    got = tokens_of(bytes(damaged), conceal=True)
    assert got.frames == whole.frames
    assert got.n_samples in (whole.n_samples, None)
    wrong = np.flatnonzero((got.codes != whole.codes).any(axis=(0, 1)))
    assert len(set(wrong // header.page_frames)) <= 1
    assert not got.codes[:, :, wrong].any()


def test_concealing_finds_the_next_page_when_bytes_are_missing_or_added():
    tokens = some_tokens(frames=50)
    file = file_of(tokens, 10)
    for damaged in (file[:100] + file[107:], file[:100] + bytes(1000) + file[100:]):
        got = tokens_of(damaged, conceal=True)
        assert (got.frames, got.n_samples) == (50, tokens.n_samples)
        assert (got.codes == tokens.codes).all(axis=(0, 1)).sum() == 40


def test_the_page_reader_reports_what_it_concealed():
    tokens = some_tokens(frames=50)
    file = bytearray(file_of(tokens, 10))
    file[110] ^= 1
    reader = tokenfile.PageReader(pipe(bytes(file)), conceal=True)
    assert [page.shape[2] for page in reader] == [10] * 5
    assert len(reader.damaged) == 1
    assert reader.damaged[0][1] - reader.damaged[0][0] == 10


def test_data_after_the_end_is_an_error():
    with pytest.raises(TokenFileError, match="after its end"):
        tokens_of(file_of(some_tokens()) + b"\0")


def test_other_files_and_newer_files_are_told_apart():
    data = bytearray(file_of(some_tokens()))
    with pytest.raises(TokenFileError, match=r"not a \.cdc"):
        tokens_of(b"RIFF" + bytes(data))
    data[4] = 2
    with pytest.raises(TokenFileError, match="newer codec"):
        tokens_of(bytes(data))
    newer = dataclasses.replace(tokenfile.header_of(some_tokens()), entropy=2, tables="01234567")
    file = header_bytes(newer)
    assert tokenfile.read_header(io.BytesIO(file)).entropy == 2
    for read in (
        tokens_of,
        lambda data: tokens_of(data, end=1.0),
        lambda data: tokenfile.trim(io.BytesIO(data), io.BytesIO(), 1),
    ):
        with pytest.raises(TokenFileError, match="newer codec"):
            read(file)


def test_a_code_outside_of_its_codebook_is_damage():
    tokens = some_tokens(sizes=(1000,), frames=8)
    other = some_tokens(sizes=(1024,), frames=8, seed=1)
    assert other.codes.max() < 1000
    bad = dataclasses.replace(other, codes=np.full_like(other.codes, 1001))
    pages = file_of(bad)[len(header_bytes(tokenfile.header_of(bad))) :]
    file = header_bytes(tokenfile.header_of(tokens)) + pages
    with pytest.raises(TokenFileError, match="page 0"):
        tokens_of(file)
    assert not tokens_of(file, conceal=True).codes.any()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.integers(0, 3), st.booleans())
def test_garbage_is_never_more_than_a_token_file_error(garbage, layers, conceal):
    """Behind nothing, the magic, a magic with a valid checksum, or a whole header that promises much."""
    huge = dataclasses.replace(
        tokenfile.header_of(some_tokens(8, 64, 0, sizes=(65536,) * 64), 65536), n_samples=(1 << 47) - 1
    )
    start = [b"", b"\x89cdc\x01", b"", header_bytes(huge)][layers]
    data = start + garbage
    if layers == 2:
        body = garbage[:100]
        data = sealed(b"\x89cdc\x01" + bytes([len(body)]) + body)
    tracemalloc.start()
    for options in ({"conceal": conceal}, {"end": 1.0, "conceal": conceal}):
        with suppress(TokenFileError):
            tokens_of(data, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.sampled_from(sorted(small_files())), st.data())
def test_a_header_that_lies_under_a_right_checksum_is_never_more_than_a_token_file_error(name, data):
    file = small_files()[name]
    size = len(header_bytes(tokenfile.read_header(pipe(file))))
    head = bytearray(file[: size - 4])
    for _ in range(data.draw(st.integers(1, 3))):
        head[data.draw(st.integers(6, len(head) - 1))] = data.draw(st.integers(0, 255))
    lying = sealed(bytes(head)) + file[size:]
    for options in ({}, {"conceal": True}, {"end": 0.1}, {"start": 0.1, "conceal": True}):
        with suppress(TokenFileError, ConfigError):
            assert isinstance(tokens_of(lying, **options), Tokens)


def test_a_page_number_that_lies_does_not_fill_the_memory():
    tokens = some_tokens(8, 64, 1)
    header = tokenfile.header_of(dataclasses.replace(tokens, n_samples=None))
    far = page_bytes(Page((1 << 32) - 1, 1, tuple(bytes(n) for n in header.layer_bytes(1))), header)
    for conceal in (False, True):
        with pytest.raises(TokenFileError):
            tokens_of(header_bytes(header) + far, conceal=conceal)
