"""onnxruntime gives the codes of PyTorch and its audio, however the recording is cut, and without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.audio import read_audio, resample
from codec.codec import Codec
from codec.runtime import OnnxEngine
from tests.conftest import SAMPLES

Pair = tuple[Codec, Codec]


def difficult(rate: int, seconds: float = 2.0) -> np.ndarray:
    """Silence, clicks, noise of all levels, a tone and clipping, one after the other, `[samples]`."""
    random = np.random.default_rng(0)
    n = int(seconds * rate / 5)
    clicks = np.zeros(n)
    clicks[random.integers(0, n, 10)] = random.uniform(-1, 1, 10)
    noise = random.standard_normal(n) * np.geomspace(1e-5, 0.5, n)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(n) / rate)
    return np.concatenate([np.zeros(n), clicks, noise, tone, 5 * tone])


def assert_alike(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert np.abs(a - b).max(initial=0) <= 1e-5 * max(1, np.abs(a).max(initial=0))


@pytest.fixture(scope="module")
def shipped(model: Codec) -> Pair:
    return model, codec.load(runtime="onnx")


def test_the_facts_are_the_same(pair: Pair) -> None:
    torch, onnx = pair
    assert onnx.info() == torch.info()
    assert (onnx.codebook_sizes, onnx.latency, onnx.kbps) == (torch.codebook_sizes, torch.latency, torch.kbps)


@pytest.mark.parametrize("choice", [{}, {"codebooks": 1}, {"kbps": 2.5}, {"kbps": 4.4}], ids=str)
def test_codes_and_audio_are_those_of_pytorch(pair: Pair, choice: dict[str, float]) -> None:
    """Also where the last codebook is a smaller one."""
    torch, onnx = pair
    audio = np.stack([difficult(11025), 0.1 * difficult(11025)[::-1]])
    tokens = torch.encode(audio, 11025, **choice)  # type: ignore[arg-type]
    assert onnx.encode(audio, 11025, **choice) == tokens  # type: ignore[arg-type]
    assert_alike(onnx.decode(tokens), torch.decode(tokens))


def test_chunks_of_any_lengths_give_the_same(pair: Pair) -> None:
    torch, onnx = pair
    audio = difficult(onnx.sample_rate)
    random = np.random.default_rng(1)
    encoder, decoder = onnx.stream_encoder(), onnx.stream_decoder(n_samples=len(audio))
    codes, heard, at = [], [], 0
    while at < len(audio):
        some = encoder.push(audio[at : (at := at + int(random.choice([1, 39, 40, 41, 500, 3000])))])
        codes.append(some)
        heard.append(decoder.push(some))
    codes.append(encoder.flush())
    heard += [decoder.push(codes[-1]), decoder.flush()]
    tokens = torch.encode(audio, onnx.sample_rate)
    assert np.array_equal(np.concatenate(codes, 2), tokens.codes)
    assert_alike(np.concatenate(heard, 1), torch.decode(tokens))


def test_a_batch_gives_each_clip_the_codes_it_has_alone(pair: Pair) -> None:
    torch, onnx = pair
    audio = difficult(onnx.sample_rate)
    clips = [audio[:3000], audio[5000:5001], audio[:0], audio, np.stack([audio, -audio])[:, 4000:9000]]
    for tokens, clip in zip(onnx.encode_batch(clips, onnx.sample_rate), clips, strict=True):
        assert tokens == torch.encode(clip, onnx.sample_rate)


def test_lost_packets_are_concealed_alike(pair: Pair) -> None:
    torch = pair[0]
    codes = torch.encode(difficult(torch.sample_rate), torch.sample_rate).codes
    heard = []
    for model in pair:
        stream = model.stream_decoder()
        parts = [stream.push(None, frames=2), stream.push(codes[..., :40]), stream.push(None, frames=7)]
        heard.append(np.concatenate([*parts, stream.push(codes[..., 47:]), stream.flush()], 1))
    assert_alike(*heard)


@pytest.mark.parametrize("frames", [1, 37])
def test_the_recheck_alone_gives_the_codes_of_pytorch(
    pair: Pair, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch, onnx = pair
    audio = difficult(torch.sample_rate, 1.0)
    tokens = torch.encode(audio, torch.sample_rate)
    engine = onnx._engine
    assert isinstance(engine, OnnxEngine)
    monkeypatch.setattr(engine, "manifest", replace(engine.manifest, rounding=1e9))
    stream = onnx.stream_encoder()
    hop = frames * onnx.hop_length
    parts = [stream.push(audio[at : at + hop]) for at in range(0, len(audio), hop)]
    assert np.array_equal(np.concatenate([*parts, stream.flush()], 2), tokens.codes)
    bounded = engine.manifest.history is not None
    assert stream.rechecked == (tokens.frames if bounded else 0)


@pytest.mark.parametrize("kbps", [0.8, 8.0])
def test_the_shipped_model_is_the_same_in_both(shipped: Pair, speech: np.ndarray, kbps: float) -> None:
    torch, onnx = shipped
    music, rate = read_audio(SAMPLES / "music.flac")
    music = resample(music[:1], rate, 16000)[0, : 5 * 16000]
    for audio in (speech[: 6 * 16000], music, difficult(16000)):
        tokens = torch.encode(audio, 16000, kbps=kbps)
        assert onnx.encode(audio, 16000, kbps=kbps) == tokens
        assert_alike(onnx.decode(tokens), torch.decode(tokens))


def test_few_frames_of_the_shipped_model_need_a_recheck(shipped: Pair, speech: np.ndarray) -> None:
    stream = shipped[1].stream_encoder()
    frames = stream.push(speech).shape[2]
    assert 0 < stream.rechecked < 0.1 * frames


def test_pytorch_is_not_imported(tmp_path: Path) -> None:
    """For loading, encoding, decoding, batches, streams and token files."""
    script = """
import sys
import numpy as np
import codec
model = codec.load(runtime="onnx")
audio = 0.1 * np.random.default_rng(0).standard_normal(20000)
tokens = model.encode(audio, 24000, kbps=1.3)
codec.write("a.cdc", tokens)
assert model.decode(codec.read("a.cdc")).shape == (1, 20000)
model.encode_batch([audio, audio[:500]], 16000)
decoder = model.stream_decoder()
decoder.push(model.stream_encoder().push(audio))
assert "torch" not in sys.modules
assert not any(name.startswith("torch") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
