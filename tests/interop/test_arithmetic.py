"""EnCodec's bit packing and arithmetic coder, against known bytes and against the `encodec` package."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from encodec.binary import BitPacker
from encodec.quantization.ac import ArithmeticCoder, build_stable_quantized_cdf
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.interop.arithmetic import RANGE_BITS, ArithmeticDecoder, ArithmeticEncoder, cumulative
from codec.interop.bits import pack_bits, packed_bytes, unpack_bits
from codec.tokenfile.source import Damaged, Ended

EIGHTHS = np.array([0.5, 0.25, 0.125, 0.125], np.float32)
UNIFORM = np.full(1024, 1 / 1024, np.float32)


def encoded(symbols: list[int], probabilities: list[np.ndarray]) -> bytes:
    encoder = ArithmeticEncoder()
    for symbol, p in zip(symbols, probabilities, strict=True):
        encoder.push(symbol, cumulative(p))
    return encoder.finish()


def drawn(seed: int, count: int, size: int, sharpness: float) -> tuple[list[int], list[torch.Tensor]]:
    """Symbols and the distributions that they were drawn from."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.softmax(torch.randn(count, size, generator=generator) * sharpness, 1)
    return torch.multinomial(p, 1, generator=generator)[:, 0].tolist(), list(p)


def test_known_codes_give_known_bits() -> None:
    values = np.array([1, 2, 1023, 512, 0])
    assert pack_bits(values, 10).hex() == "0108f03f800000"
    assert unpack_bits(bytes.fromhex("0108f03f800000"), 10, 5).tolist() == values.tolist()


@settings(derandomize=True, deadline=None, max_examples=50)
@given(bits=st.integers(1, 16), data=st.data())
def test_packed_values_come_back_and_are_those_of_the_encodec_package(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=40))
    packed = pack_bits(np.array(values, np.uint16), bits)
    theirs = io.BytesIO()
    packer = BitPacker(bits, theirs)
    for value in values:
        packer.push(value)
    packer.flush()
    assert packed == theirs.getvalue()
    assert len(packed) == packed_bytes(len(values), bits)
    assert unpack_bits(packed, bits, len(values)).tolist() == values


def test_known_distributions_have_known_shares() -> None:
    assert cumulative(EIGHTHS).tolist() == [8388606, 12582910, 14680063, 16777216]
    assert cumulative(UNIFORM)[[0, -1]].tolist() == [16383, 16776192]


def test_known_symbols_give_known_bytes() -> None:
    symbols = [0, 1, 2, 3, 0, 0, 1, 3]
    assert encoded(symbols, [EIGHTHS] * 8).hex() == "da69bf0c08"
    assert encoded([0, 1023, 512, 7], [UNIFORM] * 4).hex() == "00fc6f00e4e05a"


@pytest.mark.parametrize(("size", "sharpness"), [(2, 1), (1024, 0.1), (1024, 3), (2048, 12)])
def test_shares_are_those_of_the_encodec_package(size: int, sharpness: float) -> None:
    for p in drawn(size, 200, size, sharpness)[1]:
        theirs = build_stable_quantized_cdf(p, RANGE_BITS, check=False)
        assert cumulative(p.numpy()).tolist() == theirs.tolist()


@pytest.mark.parametrize(("size", "sharpness"), [(2, 1), (1024, 3), (1024, 12)])
def test_bytes_are_those_of_the_encodec_package_and_decode(size: int, sharpness: float) -> None:
    symbols, p = drawn(1, 200, size, sharpness)
    theirs = io.BytesIO()
    coder = ArithmeticCoder(theirs)
    for symbol, distribution in zip(symbols, p, strict=True):
        coder.push(symbol, build_stable_quantized_cdf(distribution, RANGE_BITS, check=False))
    coder.flush()
    ours = encoded(symbols, [distribution.numpy() for distribution in p])
    assert ours == theirs.getvalue()
    decoder = ArithmeticDecoder(b"before" + ours, 6)
    assert [decoder.pull(cumulative(distribution.numpy())) for distribution in p] == symbols
    assert decoder.end() == 6 + len(ours)


def test_bits_that_run_out_are_noticed() -> None:
    data = encoded([5] * 20, [UNIFORM] * 20)
    decoder = ArithmeticDecoder(data[:10], 0)
    # Bits are read 24 ahead: 8 symbols of 10 bits leave no more.
    assert [decoder.pull(cumulative(UNIFORM)) for _ in range(6)] == [5] * 6
    with pytest.raises(Ended):
        decoder.pull(cumulative(UNIFORM))


def test_a_last_byte_with_more_than_zeros_is_noticed() -> None:
    data = bytearray(encoded([0, 1, 2], [EIGHTHS] * 3))
    data[-1] |= 0x80
    decoder = ArithmeticDecoder(bytes(data), 0)
    assert [decoder.pull(cumulative(EIGHTHS)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Damaged):
        decoder.end()
