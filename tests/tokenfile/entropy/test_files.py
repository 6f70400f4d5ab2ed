import dataclasses
import io
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.header import RANGE_CODING, header_bytes
from codec.tokenfile.pages import Page, least_bytes, page_bytes
from tests.tokenfile.entropy.examples import TABLES, coded, coded_tokens, decoded, small_tables
from tests.tokenfile.examples import file_of, pipe, some_tokens

GOLDEN = Path(__file__).parent / "golden"


def plain(tokens, page_frames=None) -> bytes:
    file = io.BytesIO()
    tokenfile.write(file, tokens, page_frames=page_frames, entropy=False)
    return file.getvalue()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 90),
    st.one_of(st.none(), st.integers(1, 100)),
    st.sampled_from([0, 0.1, 1]),
    st.integers(0, 99),
)
def test_what_is_written_is_read(channels, codebooks, frames, page_frames, surprise, seed):
    tokens = coded_tokens(TABLES, channels, codebooks, frames, surprise=surprise, seed=seed)
    data = coded(tokens, TABLES, page_frames)
    assert decoded(data) == tokens
    assert tokenfile.read(pipe(data), tables=TABLES) == tokens
    # Four bytes name the tables; a page may list the lengths of layers that save little.
    pages = -(-frames // (page_frames or 1024))
    assert len(data) <= len(plain(tokens, page_frames)) + 4 + 4 * pages


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(1, 60), st.lists(st.integers(0, 80), max_size=8))
def test_pushing_in_any_chunks_writes_the_same_file(page_frames, chunks):
    tokens = coded_tokens(frames=150)
    file = io.BytesIO()
    writer = tokenfile.PageWriter(file, tokenfile.header_of(tokens, page_frames), TABLES)
    start = 0
    for size in chunks:
        writer.push(tokens.codes[:, :, start : start + size])
        start += size
    writer.push(tokens.codes[:, :, start:])
    writer.close(tokens.n_samples)
    assert file.getvalue() == coded(tokens, TABLES, page_frames)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(1, 4), st.sampled_from([0, 0.2, 1]))
def test_trimming_copies_layers_and_needs_no_tables(page_frames, keep, surprise):
    tokens = coded_tokens(channels=2, frames=100, surprise=surprise)
    trimmed = io.BytesIO()
    tokenfile.trim(pipe(coded(tokens, TABLES, page_frames)), trimmed, keep)
    assert trimmed.getvalue() == coded(tokens.at(codebooks=keep), TABLES, page_frames)


def test_likely_codes_take_less_room():
    tokens = coded_tokens(frames=500)
    assert len(coded(tokens)) < 0.8 * len(plain(tokens))
    header = tokenfile.read_header(io.BytesIO(coded(tokens)))
    assert (header.entropy, header.tables) == (RANGE_CODING, TABLES.id)
    assert header == dataclasses.replace(tokenfile.header_of(tokens), entropy=RANGE_CODING, tables=TABLES.id)


def test_pages_that_nothing_can_be_saved_in_are_packed_plainly():
    tokens = coded_tokens(frames=100, surprise=1.0)
    assert len(coded(tokens, TABLES, 10)) <= len(plain(tokens, 10)) + 4


def test_one_code_again_and_again_is_still_an_eighth_of_a_bit_a_code():
    tokens = coded_tokens(TABLES, 1, 4, 4000, surprise=1.0)
    same = dataclasses.replace(tokens, codes=np.zeros_like(tokens.codes))
    assert decoded(coded(same)) == same
    assert 4 * 4000 / 64 <= len(coded(same)) <= 4 * 4000 / 64 + 200


def test_a_stretch_is_read_from_its_pages_alone():
    tokens = coded_tokens(frames=900)
    data = bytearray(coded(tokens, TABLES, 20))
    data[len(data) // 2] ^= 1
    assert decoded(bytes(data), start=14.0, end=15.0) == tokenfile.cut(tokens, 14.0, 15.0)


def test_cutting_and_joining_copies_pages_without_tables(tmp_path):
    tokens = coded_tokens(frames=400)
    (tmp_path / "a.cdc").write_bytes(coded(tokens, TABLES, 50))
    tokenfile.cut_file(tmp_path / "a.cdc", tmp_path / "b.cdc", 0.0, 3.0)
    assert tokenfile.read(tmp_path / "b.cdc", tables=TABLES, end=3.0) == tokenfile.cut(tokens, 0.0, 3.0)
    tokenfile.cat([tmp_path / "a.cdc", tmp_path / "a.cdc"], tmp_path / "c.cdc")
    twice = tokenfile.read(tmp_path / "c.cdc", tables=TABLES)
    assert np.array_equal(twice.codes, np.concatenate([tokens.codes, tokens.codes], axis=2))


def test_tables_that_are_not_here_are_named():
    data = coded(coded_tokens())
    for tables in (None, small_tables(seed=1)):
        with pytest.raises(TokenFileError, match=rf"tables {TABLES.id} of model small"):
            tokenfile.read(io.BytesIO(data), tables=tables)
    assert tokenfile.read_header(io.BytesIO(data)).tables == TABLES.id


def test_tables_of_other_weights_are_refused():
    tokens = coded_tokens()
    others = small_tables(weights_hash="f" * 16)
    with pytest.raises(ConfigError, match="not of small"):
        coded(tokens, others)
    lying = dataclasses.replace(tokenfile.header_of(tokens), entropy=RANGE_CODING, tables=others.id)
    data = header_bytes(lying) + coded(tokens)[len(header_bytes(lying)) :]
    with pytest.raises(TokenFileError, match="another model"):
        decoded(data, others)


def test_codes_without_tables_are_packed_plainly():
    tokens = some_tokens(frames=50, model="speech-16k", weights_hash="0123456789abcdef")
    assert tokenfile.read_header(io.BytesIO(file_of(tokens))).entropy == 0


@pytest.mark.parametrize("page_frames", [13, 40])
def test_every_flipped_bit_and_every_cut_is_found(page_frames):
    tokens = coded_tokens(TABLES, 2, 3, 40)
    data = coded(tokens, TABLES, page_frames)
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(TokenFileError):
                decoded(bytes(damaged))
        with pytest.raises(TokenFileError):
            decoded(data[:at])


def test_a_stream_that_is_cut_gives_its_whole_pages():
    tokens = coded_tokens(frames=40, n_samples=None)
    data = coded(tokens, TABLES, 10)
    whole = 0
    for size in range(60, len(data)):
        with suppress(TokenFileError):  # inside of its header
            got = decoded(data[:size])
            assert np.array_equal(got.codes, tokens.codes[:, :, : got.frames])
            assert got.frames >= whole
            whole = got.frames
    assert whole == 40


def test_damage_is_confined_to_its_page():
    tokens = coded_tokens(frames=100)
    data = bytearray(coded(tokens, TABLES, 10))
    data[len(data) // 2] ^= 4
    got = decoded(bytes(data), conceal=True)
    differs = (got.codes != tokens.codes).any(axis=(0, 1))
    assert 0 < differs.sum() <= 10
    assert not got.codes[:, :, differs].any()


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.integers(5, 29), min_size=4, max_size=4), st.data())
def test_a_payload_that_lies_under_a_right_checksum_is_codes_or_an_error(lengths, data):
    header = dataclasses.replace(
        tokenfile.header_of(coded_tokens(frames=40), 40), entropy=RANGE_CODING, tables=TABLES.id
    )
    layers = tuple(data.draw(st.binary(min_size=n, max_size=n)) for n in lengths)
    file = (
        header_bytes(header) + page_bytes(Page(0, 40, layers), header) + coded(coded_tokens(frames=40))[-9:]
    )
    for conceal in (False, True):
        with suppress(TokenFileError):
            got = decoded(file, conceal=conceal)
            assert got.codes.max() < 64


def test_a_small_file_is_never_long_to_decode():
    """Many frames in few bytes are damage, found before anything is decoded or allocated."""
    tables = small_tables((64,) * 16, (1,))
    tokens = coded_tokens(tables, 8, 16, 0)
    header = tokenfile.header_of(dataclasses.replace(tokens, n_samples=None), 65536)
    header = dataclasses.replace(header, entropy=RANGE_CODING, tables=tables.id)
    short = Page(0, 65536, (bytes(4),) * 16)
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(TokenFileError):
        decoded(header_bytes(header) + page_bytes(short, header), tables)
    assert time.process_time() - begin < 1
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert least_bytes(header, 65536) == 65536 / 8


def test_a_golden_file_is_read_and_written_as_ever():
    data = (GOLDEN / "coded.cdc").read_bytes()
    tables = tokenfile.load_tables(GOLDEN / "small.entropy.npz")
    codes = np.load(GOLDEN / "codes.npy", allow_pickle=False)
    assert tables.id == TABLES.id
    tokens = decoded(data, tables)
    assert np.array_equal(tokens.codes, codes)
    assert coded(tokens, tables, 50) == data


def test_neither_looking_nor_trimming_needs_the_entropy_coder(tmp_path):
    (tmp_path / "a.cdc").write_bytes(coded(coded_tokens()))
    code = f"""
import sys
from codec.cli import main
assert main(["info", {str(tmp_path / "a.cdc")!r}]) == 0
assert main(["trim", {str(tmp_path / "a.cdc")!r}, "-o", {str(tmp_path / "b.cdc")!r}, "--codebooks", "2"]) == 0
sys.exit("torch" in sys.modules or "constriction" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert tokenfile.read(tmp_path / "b.cdc", tables=TABLES) == coded_tokens().at(codebooks=2)


def test_reading_does_not_import_torch():
    code = """
import sys
from tests.tokenfile.entropy.examples import coded, coded_tokens, decoded
assert decoded(coded(coded_tokens())) == coded_tokens()
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("codebooks", [1, 2, 4])
def test_a_smaller_last_codebook_is_packed_plainly(codebooks):
    tokens = coded_tokens(TABLES, 2, codebooks, 60)
    codes = tokens.codes.copy()
    codes[:, -1] %= 8
    smaller = dataclasses.replace(tokens, codes=codes, codebook_sizes=(64,) * (codebooks - 1) + (8,))
    data = coded(smaller, TABLES, 25)
    assert decoded(data) == smaller
    if codebooks > 1:
        assert len(data) < len(plain(smaller, 25))
    trimmed = io.BytesIO()
    if codebooks > 1:
        tokenfile.trim(io.BytesIO(data), trimmed, codebooks - 1)
        assert decoded(trimmed.getvalue()) == tokens.at(codebooks=codebooks - 1)
