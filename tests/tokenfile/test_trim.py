import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.errors import ConfigError, TokenFileError
from tests.tokenfile.examples import any_tokens, file_of, pipe, some_tokens, streamed, tokens_of


def trimmed(data: bytes, codebooks: int) -> bytes:
    out = io.BytesIO()
    tokenfile.trim(pipe(data), out, codebooks)
    return out.getvalue()


@settings(derandomize=True, deadline=None, max_examples=50)
@given(any_tokens(500), st.integers(1, 200), st.data())
def test_trimming_the_file_is_taking_fewer_codebooks(tokens, page_frames, data):
    keep = data.draw(st.integers(1, tokens.codebooks))
    few = tokens.at(codebooks=keep)
    got = trimmed(file_of(tokens, page_frames), keep)
    assert tokens_of(got) == few
    assert got == file_of(few, page_frames)


def test_trimming_a_stream_keeps_its_state():
    tokens = some_tokens(frames=200)
    for close in (True, False):
        few = tokens.at(codebooks=2)
        assert trimmed(streamed(tokens, 10, close=close), 2) == streamed(few, 10, close=close)


def test_a_path_can_be_trimmed_in_place(tmp_path):
    path = tmp_path / "a.cdc"
    tokenfile.write(path, some_tokens())
    tokenfile.trim(path, path, 2)
    assert tokenfile.read(path) == some_tokens().at(codebooks=2)


@pytest.mark.parametrize("keep", [0, 5, -1, True, 1.0])
def test_codebooks_that_are_not_there_cannot_be_kept(keep):
    with pytest.raises(ConfigError, match="from 1 to 4"):
        trimmed(file_of(some_tokens()), keep)


def test_a_damaged_file_cannot_be_trimmed():
    data = bytearray(file_of(some_tokens()))
    data[90] ^= 1
    with pytest.raises(TokenFileError):
        trimmed(bytes(data), 1)
