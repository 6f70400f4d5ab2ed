"""Every truncation and every flipped bit of small files, and promises that cost nothing."""

import io
import tracemalloc

import numpy as np
import pytest

from codec import tokenfile
from codec.errors import TokenFileError
from codec.tokenfile.checksum import sealed
from codec.tokenfile.header import header_bytes
from codec.tokenfile.varint import varint
from tests.tokenfile.examples import Counted, file_of, pipe, some_tokens, tokens_of
from tests.tokenfile.golden_files import GOLDEN

SMALL = sorted(path.stem for path in GOLDEN.glob("*.cdc") if path.stat().st_size < 400)


@pytest.mark.parametrize("name", SMALL)
def test_every_flipped_bit_is_an_error_and_confined_to_its_page(name):
    data = (GOLDEN / f"{name}.cdc").read_bytes()
    whole = tokens_of(data)
    header = tokenfile.read_header(pipe(data))
    page_frames, header_size = header.page_frames, len(header_bytes(header))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TokenFileError):
            tokens_of(bytes(damaged))
        try:
            got = tokens_of(bytes(damaged), conceal=True)
        except TokenFileError:
            assert bit // 8 < header_size
            continue
        shared = min(got.frames, whole.frames)
        wrong = np.flatnonzero((got.codes[:, :, :shared] != whole.codes[:, :, :shared]).any(axis=(0, 1)))
        assert len(set(wrong // page_frames)) <= 1
        # Only a last page with nothing after it can be lost unseen.
        assert got.frames >= whole.frames - page_frames


@pytest.mark.parametrize("name", SMALL)
def test_every_truncation_gives_the_whole_pages_or_an_error(name):
    data = (GOLDEN / f"{name}.cdc").read_bytes()
    whole = tokens_of(data)
    header = tokenfile.read_header(pipe(data))
    for size in range(len(data)):
        try:
            got = tokens_of(data[:size])
        except TokenFileError:
            continue
        assert header.n_samples is None
        assert np.array_equal(got.codes, whole.codes[:, :, : got.frames])
        assert got.frames in (whole.frames, *range(0, whole.frames, header.page_frames))


@pytest.mark.parametrize("promised", [1 << 47, 1 << 60, 1 << 69])
def test_a_header_that_promises_more_samples_than_there_can_be_is_refused_for_nothing(promised):
    body = bytes([0, 9, 4]) + varint(16000) + varint(50) + varint(1) + varint(256)
    body += varint(promised + 1) + varint(0)
    data = sealed(b"\x89cdc\x01" + varint(len(body)) + body)
    tracemalloc.start()
    for options in ({}, {"conceal": True}, {"start": 1.0}, {"start": 1e9, "end": 2e9, "conceal": True}):
        with pytest.raises(TokenFileError, match="header"):
            tokens_of(data, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 18


def test_a_far_away_page_of_tiny_pages_is_refused_or_filled_in_quickly():
    """Two million lost pages of one frame must not be two million steps."""
    tokens = some_tokens(codebooks=1, frames=30)
    data = bytearray(file_of(tokens, 1))
    start = data.index(b"\xd3\x9c\x05")
    moved = sealed(bytes(data[start : start + 2]) + varint(2_000_000) + bytes(data[start + 3 : start + 7]))
    reader = tokenfile.PageReader(io.BytesIO(bytes(data[:start]) + moved), conceal=True)
    packets = list(reader.packets())
    assert sum(frames for _, frames in packets) == 2_000_001
    assert len(packets) < 1000


def test_packets_say_what_is_lost():
    tokens = some_tokens(frames=50)
    data = bytearray(file_of(tokens, 10))
    data[110] ^= 1
    packets = list(tokenfile.PageReader(pipe(bytes(data)), conceal=True).packets())
    assert [frames for _, frames in packets] == [10] * 5
    assert [codes is None for codes, _ in packets] == [False, True, False, False, False]
    with pytest.raises(TokenFileError, match="page 1"):
        list(tokenfile.PageReader(pipe(bytes(data))).packets())


def test_a_stretch_of_a_long_file_touches_a_small_part_of_it():
    """With an index; without one, only the heads of pages are read besides."""
    tokens = some_tokens(codebooks=12, frames=30_000)
    file = Counted(file_of(tokens))
    size = len(file.getvalue())
    got = tokenfile.read(file, start=300.0, end=302.0)
    assert got == tokenfile.cut(tokens, 300.0, 302.0)
    assert file.taken < size // 50
