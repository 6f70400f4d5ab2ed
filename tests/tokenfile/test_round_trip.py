import io
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.errors import ConfigError, OutputError, TokenFileError
from tests.tokenfile.examples import any_tokens, file_of, pipe, some_tokens, streamed, tokens_of


@settings(derandomize=True, deadline=None, max_examples=60)
@given(any_tokens(), st.one_of(st.none(), st.integers(1, 700)))
def test_what_is_written_is_read(tokens, page_frames):
    assert tokens_of(file_of(tokens, page_frames)) == tokens


@settings(derandomize=True, deadline=None, max_examples=30)
@given(any_tokens(300), st.integers(1, 100), st.integers(1, 50))
def test_a_pipe_in_any_pieces_gives_the_same(tokens, page_frames, piece):
    assert tokenfile.read(pipe(file_of(tokens, page_frames), piece)) == tokens


@settings(derandomize=True, deadline=None, max_examples=30)
@given(any_tokens(300), st.integers(1, 100), st.lists(st.integers(0, 80), max_size=10))
def test_pushing_in_any_chunks_writes_the_same_file(tokens, page_frames, chunks):
    file = io.BytesIO()
    writer = tokenfile.PageWriter(file, tokenfile.header_of(tokens, page_frames))
    start = 0
    for size in chunks:
        writer.push(tokens.codes[:, :, start : start + size])
        start += size
    writer.push(tokens.codes[:, :, start:])
    writer.close(tokens.n_samples)
    assert file.getvalue() == file_of(tokens, page_frames)


def test_header_says_what_the_tokens_are():
    tokens = some_tokens(
        2, 3, 50, skip=7, model="speech-16k", weights_hash="00000000000000ff", metadata={"a": "ü"}
    )
    header = tokenfile.read_header(io.BytesIO(file_of(tokens, 20)))
    assert header == tokenfile.header_of(tokens, 20)
    assert header.tokens(tokens.codes, tokens.n_samples) == tokens
    assert (header.version, header.entropy, header.page_frames) == (1, 0, 20)


def test_a_stream_learns_its_length_at_the_end(tmp_path):
    tokens = some_tokens(frames=45)
    path = tmp_path / "a.cdc"
    path.write_bytes(streamed(tokens, 10))
    assert tokenfile.read(path) == tokens
    assert tokenfile.read_header(path).n_samples == tokens.n_samples
    assert tokenfile.read_header(pipe(path.read_bytes())).n_samples is None


def test_an_unclosed_stream_gives_its_pages():
    tokens = some_tokens(frames=45)
    got = tokens_of(streamed(tokens, 10, close=False))
    assert got.n_samples is None
    assert np.array_equal(got.codes, tokens.codes[:, :, :40])


def test_every_page_arrives_at_the_other_end_of_a_pipe_when_it_is_written():
    tokens = some_tokens(frames=12)
    incoming, outgoing = os.pipe()
    arrived: list[np.ndarray] = []
    with os.fdopen(incoming, "rb") as near, os.fdopen(outgoing, "wb") as far:
        writer = tokenfile.PageWriter(far, tokenfile.header_of(tokens, 4))
        pages = iter(tokenfile.PageReader(near))
        for start in range(0, 12, 4):
            writer.push(tokens.codes[:, :, start : start + 4])
            arrived.append(next(pages))
        # The pipe stays open: the end record alone must end the reading.
        closing = threading.Thread(target=writer.close)
        closing.start()
        assert list(pages) == []
        closing.join()
    assert np.array_equal(np.concatenate(arrived, axis=2), tokens.codes)


def test_a_path_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.cdc"
    path.write_bytes(b"before")
    with pytest.raises(ConfigError):
        tokenfile.write(path, some_tokens(), page_frames=0)
    damaged = file_of(some_tokens(frames=50), 10)[:-3]
    (tmp_path / "b.cdc").write_bytes(damaged)
    with pytest.raises(TokenFileError):
        tokenfile.trim(tmp_path / "b.cdc", path, 1)
    assert path.read_bytes() == b"before"
    tokenfile.write(path, some_tokens())
    assert tokenfile.read(path) == some_tokens()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.cdc", "b.cdc"]


def test_an_output_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "no" / "a.cdc", tmp_path, tmp_path / "file" / "a.cdc"):
        with pytest.raises(OutputError):
            tokenfile.write(path, some_tokens())
    closed = open(tmp_path / "file", "wb")  # noqa: SIM115
    closed.close()
    with pytest.raises(OutputError):
        tokenfile.write(closed, some_tokens())


def test_a_full_disk_is_an_output_error():
    with pytest.raises(OutputError, match="no space left"):
        tokenfile.write("/dev/full", some_tokens())


def test_a_device_is_written_to_not_replaced():
    tokenfile.write(os.devnull, some_tokens())
    assert not os.path.isfile(os.devnull)


def test_the_writer_refuses_what_does_not_fit_its_header(tmp_path):
    tokens = some_tokens(frames=10)
    writer = tokenfile.PageWriter(io.BytesIO(), tokenfile.header_of(tokens))
    for codes in (
        some_tokens(2).codes,
        some_tokens(codebooks=3).codes,
        tokens.codes.astype(np.int64),
        tokens.codes + 1024,
    ):
        with pytest.raises(ConfigError):
            writer.push(codes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="promised"):
        writer.close(12345)
    writer.close()
    with pytest.raises(ConfigError, match="closed"):
        writer.push(tokens.codes)


def test_missing_and_unsuitable_inputs_are_clear_errors(tmp_path):
    with pytest.raises(TokenFileError, match=r"a\.cdc cannot be opened"):
        tokenfile.read(tmp_path / "a.cdc")
    with pytest.raises(TokenFileError):
        tokenfile.read(tmp_path)
    with pytest.raises(ConfigError):
        tokenfile.read(3)  # type: ignore[arg-type]
    (tmp_path / "b.cdc").write_bytes(file_of(some_tokens()))
    with open(tmp_path / "b.cdc", encoding="latin-1") as text, pytest.raises(ConfigError, match="binary"):
        tokenfile.read(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("sample_rate", [16000, 48000])
@pytest.mark.parametrize(("codebooks", "most"), [(1, 0.10), (12, 0.03)])
def test_overhead_is_small_at_every_length_from_10_to_30_seconds(sample_rate, codebooks, most):
    for frames in range(500, 1501, 4):
        tokens = some_tokens(
            codebooks=codebooks,
            frames=frames,
            sample_rate=sample_rate,
            model="speech-16k",
            weights_hash="0123456789abcdef",
        )
        bits = frames * codebooks * 10
        assert len(file_of(tokens)) * 8 <= bits * (1 + most)


def test_an_hour_is_packed_in_a_moment():
    tokens = some_tokens(codebooks=16, frames=180_000)
    start = time.process_time()
    assert tokens_of(file_of(tokens)) == tokens
    assert time.process_time() - start < 1.0


def test_importing_the_token_file_does_not_import_torch():
    code = "import codec.tokens, codec.tokenfile, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
