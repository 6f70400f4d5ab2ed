"""The fuzz targets in CI: mutations of the committed corpus, found by hypothesis and by the seeded script."""

from __future__ import annotations

import io
import random
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import TokenFileError
from codec.tokenfile import read_header
from codec.tokenfile.checksum import seal_holds
from tests.fuzz import mutate
from tests.fuzz.make_corpus import crafted
from tests.fuzz.targets import TARGETS, repair_token_file
from tests.tokenfile.golden_files import GOLDEN


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_itself_is_taken(name: str) -> None:
    target = TARGETS[name]
    corpus = target.corpus()
    assert corpus
    for data in corpus:
        target.run(data)


def test_the_crafted_files_are_in_the_corpus() -> None:
    assert set(crafted().values()) <= set(TARGETS["tokenfile"].corpus())


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_files_are_taken_in_good_time(name: str) -> None:
    """The first of the files of `python -m tests.fuzz.mutate`, which takes as many as one likes."""
    target, rng = TARGETS[name], random.Random(0)
    corpus = target.corpus()
    for number in range(1000):
        data = mutate.mutated(target, corpus, rng)
        begin = time.process_time()
        target.run(data)
        assert time.process_time() - begin < 1, (number, data.hex())


@pytest.mark.parametrize("name", TARGETS)
@settings(derandomize=True, deadline=None, max_examples=300)
@given(data=st.data())
def test_bytes_that_hypothesis_makes_of_the_corpus_are_taken(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    file = bytearray(data.draw(st.sampled_from(target.corpus())))
    start = data.draw(st.integers(0, len(file)))
    end = data.draw(st.integers(start, min(len(file), start + 20)))
    file[start:end] = data.draw(st.binary(max_size=30))
    target.run(target.repair(bytes(file)) if data.draw(st.booleans()) else bytes(file))


def test_repaired_checksums_are_right() -> None:
    for path in GOLDEN.glob("*.cdc"):
        data = bytearray(path.read_bytes())
        size = len(data)
        data[10] ^= 1
        repaired = repair_token_file(bytes(data))
        assert len(repaired) == size
        # The header is taken, or refused for what it says; but its checksum holds.
        with suppress(TokenFileError):
            read_header(io.BytesIO(repaired))
        assert seal_holds(repaired[: 6 + repaired[5] + 4])
