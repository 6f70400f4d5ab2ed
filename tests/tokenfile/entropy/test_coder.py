import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.tokenfile.entropy import coder
from codec.tokenfile.entropy.network import TOTAL, Network, _powers, network_of
from codec.tokens import Codes
from tests.tokenfile.entropy import reference
from tests.tokenfile.entropy.examples import TABLES, likely_codes, small_tables

SIZES = st.sampled_from([(64, 64, 64, 64), (300, 7, 2), (1024,), (2, 2, 2, 2, 2, 2), (4096, 3)])
SPANS = st.sampled_from([(1,), (1, 1, 2, 4, 16), (64, 1), (8, 8)])


def decoded(network: Network, layers: Sequence[bytes | Codes], channels: int, frames: int) -> Codes:
    """The codes of one page, which has some."""
    codes = coder.decode(network, [layers], channels, frames)[0]
    assert codes is not None
    return codes


@settings(derandomize=True, deadline=None, max_examples=30)
@given(SIZES, SPANS, st.integers(1, 3), st.integers(1, 70), st.integers(0, 99), st.sampled_from([0, 0.1, 1]))
def test_what_is_encoded_is_decoded(sizes, spans, channels, frames, seed, surprise):
    tables = small_tables(sizes, spans, seed=seed)
    network = Network(tables)
    for stages in {1, len(sizes)}:
        codes = likely_codes(tables, channels, stages, frames, seed, surprise)
        layers = coder.encode(network, codes)
        assert np.array_equal(decoded(network, layers, channels, frames), codes)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    st.integers(1, 2), st.integers(1, 40), st.integers(2, 5), st.sets(st.integers(0, 4)), st.integers(0, 99)
)
def test_pages_together_are_decoded_as_each_alone_also_beside_damaged_ones(
    channels, frames, pages, damaged, seed
):
    network = network_of(TABLES)
    all_codes = [likely_codes(TABLES, channels, 4, frames, seed + k) for k in range(pages)]
    all_layers = [coder.encode(network, codes) for codes in all_codes]
    for number in damaged & set(range(pages)):
        all_layers[number] = [b"\xff" * 9] * 4
    together = coder.decode(network, all_layers, channels, frames)
    for number, (layers, codes, found) in enumerate(zip(all_layers, all_codes, together, strict=True)):
        alone = coder.decode(network, [layers], channels, frames)[0]
        if found is None or alone is None:
            assert found is alone
        else:
            assert np.array_equal(found, alone)
        if number not in damaged:
            assert found is not None
            assert np.array_equal(found, codes)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(
    st.sampled_from([(9, 9, 9), (30, 7, 2)]), SPANS, st.integers(1, 2), st.integers(1, 9), st.integers(0, 99)
)
def test_the_bytes_are_those_of_the_specification(sizes, spans, channels, frames, seed):
    tables = small_tables(sizes, spans, seed=seed)
    codes = likely_codes(tables, channels, len(sizes), frames, seed, 0.3)
    assert coder.encode(Network(tables), codes) == reference.encoded(tables, codes.tolist())


def test_long_layers_carry_into_bytes_that_are_already_out():
    # Rare codes at the top of their interval, again and again: low comes close to a carry.
    tables = small_tables((9,), (1,))
    codes = likely_codes(tables, 1, 1, 300, surprise=0.0)
    codes[:, :, ::3] = 8
    assert coder.encode(Network(tables), codes) == reference.encoded(tables, codes.tolist())


def test_powers_of_two_are_rounded_to_the_nearest():
    assert _powers().tolist() == [reference.power(d) for d in range(1281)]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(SIZES, st.integers(0, 99))
def test_frequencies_leave_room_for_every_code_and_add_up(sizes, seed):
    network = Network(small_tables(sizes, seed=seed))
    inputs = np.random.default_rng(seed).integers(-255, 256, (len(sizes), 5, 4 * network.width))
    found = network.frequencies(inputs.astype(np.float32), 0, len(sizes))
    for row, size in zip(found, sizes, strict=True):
        assert (row[:, :size] >= 0).all()
        assert (row[:, :size] == np.floor(row)[:, :size]).all()
        assert (row[:, :size].sum(axis=1) + size == TOTAL).all()
        assert not row[:, size:].any()


def test_a_layer_depends_on_no_later_layer():
    codes = likely_codes(TABLES, 2, 4, 50)
    whole = coder.encode(network_of(TABLES), codes)
    for stages in (1, 2, 3):
        assert coder.encode(network_of(TABLES), codes[:, :stages]) == whole[:stages]


def test_likely_codes_become_as_short_as_their_likelihood_says():
    network = network_of(TABLES)
    codes = likely_codes(TABLES, 1, 1, 100, surprise=0.0)
    bits = 0.0
    for t in range(100):
        own = codes[0].tolist()
        f = reference.frequencies(TABLES, own, 0, t)
        bits -= np.log2(f[own[0][t]] / TOTAL)
    assert bits / 8 <= len(coder.encode(network, codes)[0]) <= bits / 8 + 2


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=60), min_size=4, max_size=4))
def test_any_bytes_give_codes_or_damage(layers):
    codes = coder.decode(network_of(TABLES), [layers], 1, 40)[0]
    assert codes is None or (codes.shape == (1, 4, 40) and codes.max() < 64)


_DIGEST = """
import hashlib, sys
import numpy as np
from codec.tokenfile.entropy import coder
from codec.tokenfile.entropy.network import network_of
from tests.tokenfile.entropy.examples import TABLES, likely_codes
codes = likely_codes(TABLES, 2, 4, 200)
print(hashlib.sha256(b"".join(coder.encode(network_of(TABLES), codes))).hexdigest())
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_bytes_do_not_depend_on_threads(threads):
    here = b"".join(coder.encode(network_of(TABLES), likely_codes(TABLES, 2, 4, 200)))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads)}
    found = subprocess.run(
        [sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_bytes_do_not_depend_on_denormal_numbers_being_flushed():
    codes = likely_codes(TABLES, 2, 4, 200)
    before = coder.encode(network_of(TABLES), codes)
    assert torch.set_flush_denormal(True)
    try:
        assert coder.encode(Network(TABLES), codes) == before
        assert np.array_equal(decoded(Network(TABLES), before, 2, 200), codes)
    finally:
        torch.set_flush_denormal(False)
