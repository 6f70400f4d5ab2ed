"""Pickles that are read without unpickling: plain values and arrays come back, everything else is refused."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import TokenFileError
from codec.interop.unpickle import read_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@settings(derandomize=True, deadline=None, max_examples=60)
@given(value=PLAIN)
def test_plain_values_come_back(protocol: int, value: Any) -> None:
    assert read_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint16).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.array(-20.5, np.float64),
        np.arange(3, dtype=">i4"),
        np.zeros((2, 0, 5), bool),
    ],
)
def test_arrays_come_back(protocol: int, array: np.ndarray) -> None:
    found = read_pickle(pickle.dumps([array], protocol))[0]
    assert np.array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_numbers_of_numpy_and_objects_in_arrays_come_back(protocol: int) -> None:
    value = np.array({"a": np.int64(7), "b": [np.float32(0.5)]}, dtype=object)
    assert read_pickle(pickle.dumps(value, protocol)) == {"a": 7, "b": [0.5]}


class Runs:
    """What a pickle of runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = pickle.dumps({"codes": Runs(f"touch {marker}")}, protocol)
    with pytest.raises(TokenFileError, match="refused: it"):
        read_pickle(data)
    assert not marker.exists()
    pickle.loads(data)
    assert marker.exists()  # it would have


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cnumpy\nload\n(Vx\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(Vx\ntR.",
        b"(iposix\nsystem\n.",
        b"\x80\x02\x82\x01.",  # a registered extension
        b"Pid\n.",  # a persistent id
        b"cnumpy\nndarray\n(tR.",
        b"cnumpy\nndarray\n.",
        b"cnumpy\nndarray\n}b.",
    ],
)
def test_whatever_else_a_pickle_can_do_is_refused(data: bytes) -> None:
    pickletools.dis(data, out=open(os.devnull, "w"))  # noqa: SIM115 (a pickle as far as its instructions go)
    with pytest.raises(TokenFileError):
        read_pickle(data)


@pytest.mark.parametrize("length", [1 << 20, 1 << 40])
def test_lengths_that_lie_cost_no_memory(length: int) -> None:
    long_bytes = b"\x80\x04\x8e" + struct.pack("<Q", length) + b"abc."
    far_memo = b"\x80\x02]r" + struct.pack("<I", min(length, 0xFFFFFFF0)) + b"."
    tracemalloc.start()
    with pytest.raises(TokenFileError):
        read_pickle(long_bytes)
    assert read_pickle(far_memo) == []
    assert tracemalloc.get_traced_memory()[1] < 1 << 19
    tracemalloc.stop()


def test_an_array_must_have_all_its_bytes() -> None:
    data = pickle.dumps(np.zeros(4, np.uint16), 3)
    assert data.count(b"K\x04\x85") == 1
    with pytest.raises(TokenFileError, match="shorter or longer"):
        read_pickle(data.replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85"))


def test_a_type_must_have_a_byte_order_that_there_is() -> None:
    data = pickle.dumps(np.zeros(4, np.uint16), 3)
    assert data.count(b"X\x01\x00\x00\x00<") == 1
    with pytest.raises(TokenFileError, match="byte order"):
        read_pickle(data.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00,"))


def test_values_without_end_are_refused_in_good_time() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(TokenFileError, match="nested"):
        read_pickle(pickle.dumps(cycle))
    doubling: list[Any] = []
    for _ in range(28):
        doubling = [doubling, doubling]
    with pytest.raises(TokenFileError, match="nested"):
        read_pickle(pickle.dumps(doubling))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        read_pickle(data)
    except TokenFileError:
        return
    assert data
