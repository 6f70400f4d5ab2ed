"""Files that were made once: every version reads them, writes them, and follows FORMAT.md in doing so."""

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import tokenfile
from codec.tokenfile.header import VERSION
from codec.tokens import Tokens
from tests.tokenfile import minimal_reader
from tests.tokenfile.examples import any_tokens, file_of, pipe, streamed, tokens_of
from tests.tokenfile.golden_files import GOLDEN, neutral, recipes, tokens_of_neutral

NAMES = sorted(path.stem for path in GOLDEN.glob("*.cdc"))
FORMAT = (Path(tokenfile.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")


def expected(name: str) -> dict[str, object]:
    facts: dict[str, object] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def test_there_is_a_golden_file_for_every_recipe():
    assert set(NAMES) >= set(recipes())


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_hold_what_they_held_when_they_were_made(name):
    data = (GOLDEN / f"{name}.cdc").read_bytes()
    assert tokens_of(data) == tokens_of_neutral(expected(name))
    assert tokenfile.read(pipe(data)) == tokens_of_neutral(expected(name))


@pytest.mark.parametrize("name", sorted(recipes()))
def test_the_same_tokens_still_become_the_same_bytes(name):
    assert recipes()[name] == (GOLDEN / f"{name}.cdc").read_bytes()


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_reader_written_from_the_specification_reads_golden_files(name):
    assert minimal_reader.read((GOLDEN / f"{name}.cdc").read_bytes()) == expected(name)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(any_tokens(60), st.integers(1, 40), st.booleans())
def test_a_reader_written_from_the_specification_reads_any_file(tokens: Tokens, page_frames, known):
    data = file_of(tokens, page_frames) if known else streamed(tokens, page_frames)
    assert minimal_reader.read(data) == neutral(tokens_of(data))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.sampled_from(sorted(recipes())), st.data())
def test_a_reader_written_from_the_specification_refuses_a_flipped_bit(name, data):
    damaged = bytearray((GOLDEN / f"{name}.cdc").read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    # A varint of a length that lies may run into the end of the file: that is a ValueError, too.
    with pytest.raises(ValueError):  # noqa: PT011
        minimal_reader.read(bytes(damaged))


def test_the_example_in_the_specification_is_a_file():
    """Every byte that the document explains, one after the other."""
    listing = FORMAT[FORMAT.index("## An example") :]
    rows = re.findall(r"^\| `((?:[0-9a-f]{2} ?)+)` \|", listing, flags=re.MULTILINE)
    data = bytes.fromhex("".join(rows))
    assert tokenfile.read_header(io.BytesIO(data)).version == VERSION
    assert minimal_reader.read(data) == neutral(tokens_of(data))
    assert tokens_of(data).codes.tolist() == [[[5, 1, 7], [0, 2, 3]]]
