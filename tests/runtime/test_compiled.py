"""The runtime "numba" gives what the others give, however frames and longer chunks take turns."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codec
from codec.codec import Codec
from codec.errors import ConfigError, ModelError
from codec.models import CodecConfig
from codec.runtime.compiled import NumbaEngine
from codec.runtime.compiled.kernels import gelu, product
from codec.runtime.compiled.wide import gelu as gelu_wide
from tests.networks import BANDS, SEANET, SPECTRAL
from tests.runtime.conftest import exported
from tests.runtime.test_engine import assert_alike, difficult


@pytest.fixture(scope="module")
def compiled() -> Codec:
    return codec.load(runtime="numba")


def in_turns(n: int, seed: int, frame: int) -> list[int]:
    """Where chunks of 1, 2 and 5 frames, and of other lengths, begin and end."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(random.choice([frame, frame, frame, 2 * frame, 5 * frame, frame // 2], n // frame * 2))
    return [0, *(int(end) for end in ends if end < n), n]


@pytest.mark.parametrize("kbps", [0.3, 2.3, 8.0])
@pytest.mark.parametrize("frame_by_frame", [True, False])
def test_codes_and_audio_are_those_of_pytorch(
    compiled: Codec, model: Codec, speech: np.ndarray, kbps: float, frame_by_frame: bool
) -> None:
    hop = model.hop_length
    audio = np.concatenate([speech[: 3 * 16000], difficult(16000)])
    tokens = model.encode(audio, 16000, kbps=kbps)
    encoder = compiled.stream_encoder(kbps=kbps)
    cuts = [*range(0, len(audio), hop), len(audio)] if frame_by_frame else in_turns(len(audio), 0, hop)
    parts = [encoder.push(audio[a:b]) for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate([*parts, encoder.flush()], axis=2), tokens.codes)
    decoder = compiled.stream_decoder(codebook_sizes=tokens.codebook_sizes)
    frames = tokens.codes.shape[2]
    cuts = list(range(frames + 1)) if frame_by_frame else in_turns(frames, 1, 2)
    heard = [decoder.push(tokens.codes[..., a:b]) for a, b in itertools.pairwise(cuts)]
    made = np.concatenate([*heard, decoder.flush()], axis=1)[:, : len(audio)]
    assert_alike(made, model.decode(tokens))


def test_a_recording_and_two_channels_go_through_onnxruntime(compiled: Codec, model: Codec) -> None:
    audio = np.stack([difficult(16000), difficult(16000)[::-1]])
    tokens = compiled.encode(audio, 16000)
    assert tokens == model.encode(audio, 16000)
    assert_alike(compiled.decode(tokens), model.decode(tokens))


def test_a_state_can_be_gone_on_from_twice(compiled: Codec) -> None:
    engine = compiled.engine
    assert isinstance(engine, NumbaEngine)
    audio = difficult(16000)[: 40 * 320].reshape(40, 1, 320)
    encoding = engine.encoding(engine.facts.codebook_sizes)
    decoding = engine.decoding(engine.facts.codebook_sizes)

    def run(frames: np.ndarray, coded: Any, heard: Any) -> tuple[np.ndarray, Any, Any]:
        sounds = []
        for frame in frames:
            codes, coded = encoding.step(frame, coded)
            sound, heard = decoding.step(decoding.latents(codes), heard)
            sounds.append(sound)
        return np.stack(sounds), coded, heard

    _, *states = run(audio[:20], None, None)
    assert np.array_equal(run(audio[20:], *states)[0], run(audio[20:], *states)[0])


def test_the_recheck_alone_gives_the_codes_of_pytorch(
    compiled: Codec, model: Codec, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at the start, where the past is not all there, and with a last codebook that is smaller."""
    engine, hop = compiled.engine, model.hop_length
    assert isinstance(engine, NumbaEngine)
    monkeypatch.setattr(engine, "manifest", replace(engine.manifest, rounding=1e9))
    audio = speech[: 40 * hop]
    encoder = compiled.stream_encoder(kbps=2.3)
    parts = [encoder.push(audio[at : at + hop]) for at in range(0, len(audio), hop)]
    codes = np.concatenate([*parts, encoder.flush()], axis=2)
    assert np.array_equal(codes, model.encode(audio, 16000, kbps=2.3).codes)
    assert encoder.rechecked == codes.shape[2]


def test_the_recheck_computes_in_float64(compiled: Codec, speech: np.ndarray) -> None:
    engine = compiled.engine
    assert isinstance(engine, NumbaEngine)
    assert engine.manifest.history is not None
    past = engine.manifest.history // engine.facts.hop_length
    audio = speech[: (past + 3) * engine.facts.hop_length]
    exact = engine.encoder64.step(audio[None, None].astype(np.float64), None)[0][0].T[past:]
    np.testing.assert_allclose(engine.encode_wide(audio), exact, rtol=0, atol=1e-13 * np.abs(exact).max())


@pytest.mark.parametrize("config", [SPECTRAL, BANDS], ids=lambda config: config.name)
def test_a_small_model_of_other_sizes_is_the_same_too(config: CodecConfig, tmp_path: Path) -> None:
    weights = exported(config, tmp_path)
    torch, numba = codec.load(weights), codec.load(weights, runtime="numba")
    audio = difficult(torch.sample_rate, 1.0)
    encoder, hop = numba.stream_encoder(), torch.hop_length
    parts = [encoder.push(audio[at : at + hop]) for at in range(0, len(audio), hop)]
    codes = np.concatenate([*parts, encoder.flush()], axis=2)
    assert np.array_equal(codes, torch.encode(audio, torch.sample_rate).codes)
    decoder, expected = numba.stream_decoder(), torch.stream_decoder()
    heard = [decoder.push(codes[..., k : k + 1]) for k in range(codes.shape[2])]
    assert_alike(np.concatenate(heard, axis=1), expected.push(codes))


def test_a_network_without_kernels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='use runtime="onnx"'):
        codec.load(exported(SEANET, tmp_path), runtime="numba")
    with pytest.raises(ConfigError, match="numba"):
        codec.load(runtime="numba", device="cuda")


def test_gelu_is_exact_to_its_type_everywhere() -> None:
    from scipy.special import ndtr

    x = np.concatenate([np.linspace(-12, 12, 100_001), [-1e30, 1e30, -0.0, 1e-30]]).astype(np.float32)
    y = x.copy()
    gelu(y)
    wide = x.astype(np.float64)
    inner = np.abs(wide) <= 12
    assert np.abs(y - wide * ndtr(wide))[inner].max() < 1e-6
    assert y[-3] == np.float32(1e30)
    assert y[-4] == 0
    exact = wide.copy()
    gelu_wide(exact)
    assert np.abs(exact - wide * ndtr(wide))[inner].max() < 1e-14
    assert exact[-3] == wide[-3]
    assert exact[-4] == 0


def test_a_product_of_halves_is_that_of_the_same_floats() -> None:
    random = np.random.default_rng(0)
    weight = random.standard_normal((12, 30)).astype(np.float16)
    weight[0, :6] = [0, -0.0, 6e-8, -6e-8, 65504, -65504]  # zeros, subnormals and the largest
    bias, x = (random.standard_normal(n).astype(np.float32) for n in (12, 30))
    y, expected = np.empty(12, np.float32), np.empty(12, np.float32)
    product(weight.view(np.uint16), bias, x, y)
    product(weight.astype(np.float32), bias, x, expected)
    assert np.array_equal(y, expected)
    np.testing.assert_allclose(y, weight.astype(np.float64) @ x + bias, rtol=1e-5)
