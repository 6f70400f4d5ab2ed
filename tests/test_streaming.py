"""A recording that arrives in pieces becomes exactly what it becomes in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codec.codec import Codec
from codec.errors import AudioError, ConfigError
from codec.models import CodecConfig
from codec.streaming import StreamDecoder, StreamEncoder
from tests.networks import CONFIGS, small_codec


def chunkings(samples: int, count: int, seed: int = 0) -> list[list[int]]:
    """Lengths of chunks, zero to nearly everything, that add up to `samples`."""
    random = np.random.default_rng(seed)
    made = []
    for largest in np.geomspace(40, samples, count):
        lengths: list[int] = []
        while sum(lengths) < samples:
            lengths.append(min(int(random.integers(0, largest + 1)), samples - sum(lengths)))
        made.append(lengths)
    return [[samples], *made]


def encode_in_chunks(encoder: StreamEncoder, x: np.ndarray, lengths: list[int]) -> np.ndarray:
    parts, at = [], 0
    for length in lengths:
        parts.append(encoder.push(x[..., at : at + length]))
        at += length
    return np.concatenate([*parts, encoder.flush()], axis=2)


def decode_in_chunks(decoder: StreamDecoder, codes: np.ndarray, lengths: list[int]) -> np.ndarray:
    parts, at = [], 0
    for length in lengths:
        parts.append(decoder.push(codes[..., at : at + length]))
        at += length
    return np.concatenate([*parts, decoder.flush()], axis=1)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_any_chunking_gives_the_same_codes_and_audio(model: Codec, speech: np.ndarray, rate: int) -> None:
    """20 chunkings each; at 44.1 kHz in stereo, through the resampler."""
    x = speech[20000:44000] if rate == 16000 else np.stack([speech[20000:64100], 0.5 * speech[40000:84100]])
    tokens = model.encode(x, rate)
    audio = model.decode(tokens)
    for lengths in chunkings(x.shape[-1], 19):
        encoder = model.stream_encoder(sample_rate=rate, channels=tokens.channels)
        assert np.array_equal(encode_in_chunks(encoder, x, lengths), tokens.codes)
        assert encoder.n_samples == x.shape[-1]
    for lengths in chunkings(tokens.frames, 9):
        decoder = model.stream_decoder(sample_rate=rate, channels=tokens.channels, n_samples=tokens.n_samples)
        made = decode_in_chunks(decoder, tokens.codes, lengths)
        np.testing.assert_allclose(made, audio, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_sample_by_sample_is_the_whole(model: Codec, speech: np.ndarray, rate: int) -> None:
    x = speech[30000:33000]
    tokens = model.encode(x, rate)
    assert np.array_equal(
        encode_in_chunks(model.stream_encoder(sample_rate=rate), x, [1] * len(x)), tokens.codes
    )
    made = decode_in_chunks(
        model.stream_decoder(sample_rate=rate, n_samples=len(x)), tokens.codes, [1] * tokens.frames
    )
    np.testing.assert_allclose(made, model.decode(tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("rate", [8000, 11025])
def test_every_kind_of_network_streams(config: CodecConfig, rate: int) -> None:
    codec = small_codec(config)
    x = 0.3 * np.random.default_rng(5).standard_normal((2, 9000)).astype(np.float32)
    tokens = codec.encode(x, rate)
    audio = codec.decode(tokens)
    for lengths in chunkings(9000, 6):
        encoder = codec.stream_encoder(sample_rate=rate, channels=2)
        assert np.array_equal(encode_in_chunks(encoder, x, lengths), tokens.codes)
    for lengths in chunkings(tokens.frames, 6):
        decoder = codec.stream_decoder(sample_rate=rate, channels=2, n_samples=9000)
        np.testing.assert_allclose(decode_in_chunks(decoder, tokens.codes, lengths), audio, rtol=0, atol=1e-5)


def test_64_interleaved_streams_do_not_disturb_each_other(model: Codec, speech: np.ndarray) -> None:
    random = np.random.default_rng(0)
    clips = [speech[at : at + 6400] * random.uniform(0.1, 1) for at in random.integers(0, 160000, 64)]
    encoders = [model.stream_encoder() for _ in clips]
    decoders = [model.stream_decoder(n_samples=6400) for _ in clips]
    codes: list[list[np.ndarray]] = [[] for _ in clips]
    audio: list[list[np.ndarray]] = [[] for _ in clips]
    for at in range(0, 6400, 1600):
        for i in random.permutation(64):
            codes[i].append(encoders[i].push(clips[i][at : at + 1600]))
            audio[i].append(decoders[i].push(codes[i][-1]))
    for i, clip in enumerate(clips):
        codes[i].append(encoders[i].flush())
        audio[i] += [decoders[i].push(codes[i][-1]), decoders[i].flush()]
        solo = model.encode(clip, 16000)
        assert np.array_equal(np.concatenate(codes[i], 2), solo.codes)
        np.testing.assert_allclose(np.concatenate(audio[i], 1), model.decode(solo), rtol=0, atol=1e-5)


def test_the_number_of_threads_does_not_matter(model: Codec, speech: np.ndarray, tmp_path: Path) -> None:
    x = speech[20000:36000]
    np.save(tmp_path / "x.npy", x)
    code = """if True:
        import sys, numpy as np, torch, codec
        torch.set_num_threads(2)
        np.save("codes.npy", codec.load().encode(np.load("x.npy"), 16000).codes)
    """
    # In a process of its own, whose threads wait without spinning: they would fight over a busy machine's
    # cores.
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert np.array_equal(np.load(tmp_path / "codes.npy"), model.encode(x, 16000).codes)


def test_codes_come_as_soon_as_their_frame_is_complete(model: Codec, speech: np.ndarray) -> None:
    encoder, hop = model.stream_encoder(kbps=1.5), model.hop_length
    assert encoder.push(speech[: hop - 1]).shape == (1, 3, 0)
    assert encoder.push(speech[hop - 1 : hop]).shape == (1, 3, 1)
    assert encoder.push(speech[hop : 4 * hop]).shape == (1, 3, 3)


def test_latency_is_what_the_model_states(model: Codec) -> None:
    """A frame's codes give that frame, less what decoding lags."""
    hop = model.hop_length
    decoder = model.stream_decoder()
    made = decoder.push(np.zeros((1, 2, 5), np.uint16)).shape[1]
    assert (hop + 5 * hop - made) / model.sample_rate == pytest.approx(model.latency)


def test_an_empty_stream_is_empty(model: Codec) -> None:
    assert model.stream_encoder().flush().shape == (1, 16, 0)
    assert model.stream_decoder(n_samples=0).flush().shape == (1, 0)


def test_a_flushed_stream_takes_no_more(model: Codec) -> None:
    encoder, decoder = model.stream_encoder(), model.stream_decoder()
    encoder.flush()
    decoder.flush()
    for call in (lambda: encoder.push(np.zeros(5, np.float32)), encoder.flush):
        with pytest.raises(AudioError, match="flushed"):
            call()
    for again in (lambda: decoder.push(np.zeros((1, 1, 1), np.uint16)), decoder.flush):
        with pytest.raises(ConfigError, match="flushed"):
            again()


def test_chunks_that_do_not_belong_to_the_stream_are_refused(model: Codec) -> None:
    with pytest.raises(AudioError, match=r"2 channel\(s\)"):
        model.stream_encoder(channels=2).push(np.zeros(5, np.float32))
    with pytest.raises(AudioError, match="NaN"):
        model.stream_encoder().push(np.array([0, np.nan], np.float32))
    with pytest.raises(ConfigError, match="1 channel"):
        model.stream_decoder().push(np.zeros((2, 1, 1), np.uint16))
    with pytest.raises(ConfigError, match="uint16"):
        model.stream_decoder().push(np.zeros((1, 1, 1), np.int64))
    with pytest.raises(ConfigError, match="entries"):
        model.stream_decoder().push(np.full((1, 1, 1), 1024, np.uint16))


@pytest.mark.parametrize("channels", [0, 9, -1])
def test_an_impossible_number_of_channels_is_refused(model: Codec, channels: int) -> None:
    with pytest.raises(AudioError, match="channels"):
        model.stream_encoder(channels=channels)
    with pytest.raises(AudioError, match="channels"):
        model.stream_decoder(channels=channels)
