"""Streams that a server computes together get what each would get by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec.codec import Codec
from codec.errors import AudioError, CodecError, ConfigError
from codec.exact import EncoderRow
from codec.models import CodecConfig
from codec.nn.rows import Row
from codec.server import ServerStream, StreamServer
from codec.shipped import Runtime, load
from tests.networks import CONFIGS, small_codec
from tests.runtime.conftest import exported


def run(task: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(task, 60))


async def feed(stream: ServerStream, x: np.ndarray, seed: int, largest: int) -> None:
    """Pushes x in chunks of random lengths at random times."""
    random = np.random.default_rng(seed)
    at = 0
    while at < x.shape[-1]:
        length = int(random.integers(1, largest + 1))
        await stream.push(x[..., at : at + length])
        at += length
        await asyncio.sleep(float(random.choice([0, 0, 0.002])))
    await stream.finish()


async def take(stream: ServerStream) -> list[np.ndarray]:
    return [made async for made in stream]


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_streams_that_arrive_at_random_get_the_codes_and_audio_of_single_ones(
    config: CodecConfig, runtime: Runtime, tmp_path: Path
) -> None:
    codec = small_codec(config) if runtime == "torch" else load(exported(config, tmp_path), runtime=runtime)
    random = np.random.default_rng(0)
    rates = [8000, 8000, 8000, 8000, 11025]
    clips = [
        (0.3 * random.standard_normal(int(random.integers(100, 9000))).astype(np.float32), rates[i % 5])
        for i in range(20)
    ]
    alone = [codec.encode(x, rate) for x, rate in clips]

    async def one(server: StreamServer, number: int) -> tuple[np.ndarray, np.ndarray]:
        await asyncio.sleep(0.003 * number)
        x, rate = clips[number]
        encoder, decoder = server.encoder(sample_rate=rate), server.decoder(sample_rate=rate)
        feeding = asyncio.create_task(feed(encoder, x, number, 700))
        audio = asyncio.create_task(take(decoder))
        codes = []
        async for made in encoder:
            codes.append(made)
            await decoder.push(made)
        await decoder.finish()
        await feeding
        return np.concatenate(codes, 1), np.concatenate(await audio)

    async def everything() -> list[tuple[np.ndarray, np.ndarray]]:
        async with StreamServer(codec) as server:
            return await asyncio.gather(*(one(server, number) for number in range(len(clips))))

    for (codes, audio), tokens in zip(run(everything()), alone, strict=True):
        assert np.array_equal(codes, tokens.codes[0])
        expected = codec.decode(tokens)[0]
        np.testing.assert_allclose(audio[: len(expected)], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", ["torch", "onnx", "numba"])
def test_the_shipped_model_serves_different_bitrates_at_once(
    model: Codec, speech: np.ndarray, runtime: Runtime
) -> None:
    served = load(runtime=runtime)
    rates = [0.5, 3, 6, 8]
    clips = [speech[at : at + 12000] for at in (0, 20000, 40000, 60000)]

    async def one(server: StreamServer, number: int) -> np.ndarray:
        stream = server.encoder(kbps=rates[number])
        feeding = asyncio.create_task(feed(stream, clips[number], number, 2000))
        made = np.concatenate(await take(stream), 1)
        await feeding
        return made

    async def everything() -> list[np.ndarray]:
        async with StreamServer(served, gather=0.001) as server:
            return await asyncio.gather(*(one(server, number) for number in range(4)))

    for codes, clip, kbps in zip(run(everything()), clips, rates, strict=True):
        assert np.array_equal(codes, model.encode(clip, 16000, kbps=kbps).codes[0])


def test_a_stream_that_nobody_reads_fills_up_while_others_go_on() -> None:
    codec = small_codec()
    x = np.zeros(200_000, np.float32)

    async def everything() -> tuple[bool, int]:
        async with StreamServer(codec) as server:
            stuck, other = server.encoder(), server.encoder()
            pushing = asyncio.create_task(stuck.push(x))
            feeding = asyncio.create_task(feed(other, x[:8000], 0, 1000))
            frames = sum(made.shape[1] for made in await take(other))
            await feeding
            waits = not pushing.done()
            stuck.cancel()
            with pytest.raises(ConfigError, match="ended"):
                await pushing
            return waits, frames

    waits, frames = run(everything())
    assert waits
    assert frames == codec.encode(x[:8000], 8000).frames


def test_bad_chunks_are_refused_and_the_stream_and_all_others_go_on() -> None:
    codec = small_codec()
    x = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)

    async def everything() -> list[np.ndarray]:
        async with StreamServer(codec) as server:
            one, other, decoder = server.encoder(), server.encoder(), server.decoder()
            with pytest.raises(AudioError, match="NaN"):
                await one.push(np.array([np.nan], np.float32))
            with pytest.raises(AudioError, match="one channel"):
                await one.push(np.zeros((2, 10), np.float32))
            with pytest.raises(ConfigError, match="entries"):
                await decoder.push(np.full((1, 1), 64, np.uint16))
            await asyncio.gather(feed(one, x, 1, 500), feed(other, x, 2, 500))
            return [np.concatenate(await take(stream), 1) for stream in (one, other)]

    for codes in run(everything()):
        assert np.array_equal(codes, codec.encode(x, 8000).codes[0])


def test_a_stream_that_fails_ends_alone() -> None:
    codec = small_codec()
    x = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)

    async def everything() -> np.ndarray:
        async with StreamServer(codec) as server:
            bad, good = server.encoder(), server.encoder()
            bad._row._state = EncoderRow(Row((), 0))  # of a network without layers
            await asyncio.gather(bad.push(x[:400]), feed(good, x, 1, 500))
            with pytest.raises(CodecError, match="failed"):
                await take(bad)
            with pytest.raises(ConfigError, match="ended"):
                await bad.push(x)
            return np.concatenate(await take(good), 1)

    assert np.array_equal(run(everything()), codec.encode(x, 8000).codes[0])


def test_a_closed_server_has_computed_what_was_finished_and_ended_the_rest() -> None:
    codec = small_codec()
    x = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)

    async def everything() -> tuple[np.ndarray, list[np.ndarray]]:
        async with StreamServer(codec) as server:
            finished, left = server.encoder(), server.encoder()
            await feed(finished, x, 0, 500)
            await left.push(x[:100])
        with pytest.raises(ConfigError, match="running"):
            server.encoder()
        return np.concatenate(await take(finished), 1), [made async for made in left]

    codes, left = run(everything())
    assert np.array_equal(codes, codec.encode(x, 8000).codes[0])
    assert sum(made.shape[1] for made in left) <= 2


def test_an_error_inside_the_server_block_ends_all_streams() -> None:
    codec = small_codec()

    async def everything() -> ServerStream:
        stream = None
        try:
            async with StreamServer(codec) as server:
                stream = server.encoder()
                await stream.push(np.zeros(3, np.float32))
                raise ZeroDivisionError
        except ZeroDivisionError:
            assert stream is not None
        assert stream is not None
        return stream

    stream = run(everything())
    assert run(take(stream)) == []
