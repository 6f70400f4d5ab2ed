"""Variable bitrates: a wish becomes a price, and every way to encode gives the same codes at it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.codec import Codec
from codec.errors import ConfigError
from codec.models import rates, store
from codec.models.config import SegmentsConfig
from codec.server import StreamServer
from codec.variable import Price, price_for
from tests.models.test_rates import rates_of
from tests.networks import BANDS, SEANET, SPECTRAL, engine_of, small_codec, small_network
from tests.runtime.conftest import exported

PRICES = (Price(0.5, 8.0, 3), Price(1.5, 2.0, 9), Price(6.0, 0.1, 16))


@settings(derandomize=True, deadline=None)
@given(st.floats(0.5, 6.0), st.floats(0.5, 6.0))
def test_a_higher_bitrate_has_a_lower_price(a: float, b: float) -> None:
    low, high = (price_for(kbps, PRICES, "x") for kbps in sorted((a, b)))
    assert low.price >= high.price * (1 - 1e-12)
    assert low.codebooks <= high.codebooks


def test_known_bitrates_have_their_own_prices() -> None:
    for known in PRICES:
        assert price_for(known.kbps, PRICES, "x").price == pytest.approx(known.price)
    middle = price_for((1.5 * 6) ** 0.5, PRICES, "x")
    assert middle.price == pytest.approx((2.0 * 0.1) ** 0.5)
    assert middle.codebooks == 16


@pytest.mark.parametrize("kbps", [0.4, 6.1, -1.0, float("nan")])
def test_what_no_price_makes_is_refused(kbps: float) -> None:
    with pytest.raises(ConfigError, match=r"choose 0.5 to 6 kbps"):
        price_for(kbps, PRICES, "x")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(BANDS, tmp_path_factory.mktemp("variable"))


@pytest.fixture(scope="module")
def small(weights: Path) -> Codec:
    return codec.load(weights)


def sound(seconds: float = 2.0, channels: int = 1) -> np.ndarray:
    """Noise that comes and goes."""
    n = int(8000 * seconds)
    noise = np.random.default_rng(0).standard_normal((channels, n))
    return (0.3 * noise * (np.sin(np.arange(n) / 900) > 0)).astype(np.float32)


def sent(codes: np.ndarray) -> int:
    return int((codes != 0).sum())


def test_less_is_sent_for_less(small: Codec) -> None:
    assert small.vbr == (1.0, 4.0)
    counts = [sent(small.encode(sound(), 8000, vbr=kbps).codes) for kbps in (1.0, 1.7, 2.5, 4.0)]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1]
    assert small.encode(sound(), 8000, vbr=1.0).codebooks == 3


@pytest.mark.parametrize("vbr", [1.0, 1.7, 4.0])
@pytest.mark.parametrize("runtime", ["torch", "onnx", "numba"])
def test_streams_batches_and_runtimes_give_the_same_codes(
    weights: Path, runtime: Literal["torch", "onnx", "numba"], vbr: float
) -> None:
    expected = codec.load(weights).encode(sound(), 8000, vbr=vbr)
    model = codec.load(weights, runtime=runtime)
    assert model.encode(sound(), 8000, vbr=vbr) == expected
    pieces = model.encode_batch([sound(), sound(0.5, 2)], 8000, vbr=vbr)
    assert pieces == [expected, model.encode(sound(0.5, 2), 8000, vbr=vbr)]
    stream = model.stream_encoder(vbr=vbr)
    audio = sound()[0]
    cuts = [*range(0, 4000, 40), *range(4000, len(audio), 731), len(audio)]
    parts = [stream.push(audio[a:b]) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate([*parts, stream.flush()], axis=2), expected.codes)
    assert model.decode(expected).shape == (1, len(audio))


def test_only_one_way_to_choose_the_rate_at_a_time(small: Codec) -> None:
    for other in ({"kbps": 2.4}, {"codebooks": 2}):
        with pytest.raises(ConfigError, match="not more than one"):
            small.encode(sound(), 8000, vbr=2.0, **other)


def test_a_model_without_skips_has_no_variable_bitrates() -> None:
    plain = small_codec(SPECTRAL)
    assert plain.vbr is None
    assert plain.info()["vbr"] is None
    with pytest.raises(ConfigError, match="no variable bitrates"):
        plain.encode(sound(), 8000, vbr=2.0)
    with pytest.raises(ConfigError, match="skip"):
        engine_of(plain).encoding(plain.codebook_sizes, 1.0)


@pytest.mark.parametrize("runtime", ["torch", "onnx", "numba"])
def test_streams_of_a_server_have_bitrates_of_their_own(
    weights: Path, runtime: Literal["torch", "onnx", "numba"]
) -> None:
    model = codec.load(weights, runtime=runtime)
    wishes: list[dict[str, float]] = [{"vbr": 1.0}, {"vbr": 4.0}, {"kbps": 1.2}, {"vbr": 1.0}]
    audio = [sound(0.5 + 0.1 * i)[0] for i in range(len(wishes))]

    async def coded(server: StreamServer, samples: np.ndarray, wish: dict[str, float]) -> np.ndarray:
        stream = server.encoder(**wish)  # type: ignore[arg-type]
        await stream.push(samples)
        await stream.finish()
        return np.concatenate([codes async for codes in stream], axis=1)

    async def serve() -> list[np.ndarray]:
        async with StreamServer(model) as server:
            return await asyncio.gather(
                *(coded(server, x, wish) for x, wish in zip(audio, wishes, strict=True))
            )

    for x, wish, found in zip(audio, wishes, asyncio.run(serve()), strict=True):
        expected = model.encode(x, 8000, **wish)  # type: ignore[arg-type]
        assert np.array_equal(found, expected.codes[0])


def test_a_model_of_whole_recordings_encodes_without_a_price_only() -> None:
    whole = small_codec(replace(SEANET, segments=SegmentsConfig()))
    assert not whole.streams
    assert whole.encode_at(sound(), 8000, 0.0) == whole.encode(sound(), 8000)
    with pytest.raises(ConfigError, match="no variable bitrates"):
        whole.encode_at(sound(), 8000, 1.0)


@pytest.mark.parametrize(
    "table", [[[1, 0.5, 2], [2, 0.6, 3]], [[1, 0.5, 9]], [[2, 0.5, 2], [1, 0.4, 2]], [[1, np.nan, 1]], [1.0]]
)
def test_a_damaged_table_of_prices_is_refused(tmp_path: Path, table: list[object]) -> None:
    weights = tmp_path / "small.safetensors"
    store.save(small_network(BANDS), weights)
    network, weights_hash = store.load(weights)
    path = weights.with_suffix(rates.SUFFIX)
    rates.save(rates_of(network, weights_hash), path)
    assert codec.load(weights).vbr == (1.0, 4.0)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | {"prices": np.array(table)}
    np.savez(path, **arrays)
    with pytest.raises(codec.CodecError, match="damaged"):
        codec.load(weights)
