"""How far float32 moves a latent towards another code, which the recheck relies on (`Encoder.rounding`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import codec
from codec.audio import read_audio, resample
from codec.codec import Codec
from codec.runtime import OnnxEngine
from codec.runtime.compiled import NumbaEngine
from codec.torch_engine import TorchEngine
from tests.conftest import SAMPLES

RATE = 16000
T = np.arange(RATE) / RATE


def chirp(low: float, high: float) -> np.ndarray:
    """A tone that rises from `low` to `high` Hz, each second by the same factor."""
    return np.sin(2 * np.pi * np.cumsum(np.geomspace(low, high, RATE)) / RATE)


def noise(count: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, count)


def clicks(level: float) -> np.ndarray:
    return np.where(np.random.default_rng(1).uniform(size=RATE) < 1e-3, level * noise(), 0)


def voice() -> np.ndarray:
    audio, rate = read_audio(SAMPLES / "voice_a.flac")
    return resample(audio, rate, RATE)[0, RATE : 3 * RATE]


def music() -> np.ndarray:
    audio, rate = read_audio(SAMPLES / "music.flac")
    return resample(audio[:1], rate, RATE)[0, : 2 * RATE]


# Companding magnifies the errors of small coefficients, of which tones and constants have most; long sums of
# large values are those of loud signals, and levels are largest at silence.
SIGNALS: dict[str, Callable[[], np.ndarray]] = {
    "constant": lambda: np.full(RATE, 0.5),
    "steps": lambda: np.repeat(noise(20), RATE // 20),
    "tones": lambda: 0.2 * np.sin(2 * np.pi * np.outer([100, 440.3, 3001, 7000.7], T)).sum(0),
    "square": lambda: np.sign(np.sin(2 * np.pi * 200 * T)),
    "chirp": lambda: 0.9 * np.sin(np.pi * 8000 * T**2),
    "slow chirp": lambda: 0.9 * chirp(20, 8000),
    "swelling chirp": lambda: np.geomspace(1e-5, 1, RATE) * chirp(50, 7000),
    "clicks": lambda: clicks(1.0),
    "quiet clicks": lambda: clicks(1e-4),
    "noise": noise,
    "quiet noise": lambda: 1e-3 * noise(),
    "a bit of noise": lambda: np.round(noise()) / 2**15,
    "silence": lambda: np.zeros(RATE),
    "voice": voice,
    "clipped voice": lambda: np.clip(30 * voice(), -1, 1),
    "whispering far away": lambda: 1e-3 * voice(),
    "music": music,
}


@pytest.fixture(scope="module")
def engines(model: Codec) -> tuple[TorchEngine, OnnxEngine, NumbaEngine]:
    found = model.engine, codec.load(runtime="onnx").engine, codec.load(runtime="numba").engine
    assert isinstance(found[0], TorchEngine)
    assert isinstance(found[1], OnnxEngine)
    assert isinstance(found[2], NumbaEngine)
    return found  # type: ignore[return-value]


def latents(engines: tuple[TorchEngine, OnnxEngine, NumbaEngine], audio: np.ndarray) -> dict[str, np.ndarray]:
    """Latents `[frames, dim]` of audio float32 `[frames * hop_length]` as each engine computes them."""
    by_torch, by_onnx, by_numba = engines
    whole = audio[None, None]
    with torch.inference_mode():
        found = {"torch": by_torch.network.encoder(torch.from_numpy(whole))[0].numpy()[0].T}
    found["onnx"] = by_onnx.encoder.step(whole, None)[0][0].T
    state_onnx = state_numba = None
    onnx, numba = [], []
    for frame in audio.reshape(-1, by_onnx.facts.hop_length):
        latent, state_onnx = by_onnx.encoder.step(frame[None, None], state_onnx)
        onnx.append(latent[0, :, 0])
        latent, state_numba = by_numba.encode_frame(frame, state_numba)
        numba.append(latent)
    return {**found, "onnx, frame by frame": np.stack(onnx), "numba": np.stack(numba)}


def towards_others(engine: OnnxEngine, exact: np.ndarray) -> np.ndarray:
    """For latents `[n, dim]` the directions in which the nearest borders lie, `[n, 2 * codebooks, dim]`."""
    left, directions = exact.copy(), []
    for book in engine.encoding(engine.facts.codebook_sizes).exact:
        scores = left @ book.values.T - book.halves
        best, *others = np.argsort(-scores, axis=1)[:, :3].T
        for other in others:
            across = book.values[best] - book.values[other]
            directions.append(across / np.linalg.norm(across, axis=1)[:, None])
        left -= book.values[best]
    return np.stack(directions, axis=1)


@pytest.mark.parametrize("signal", SIGNALS)
def test_float32_moves_no_latent_half_as_far_towards_another_code_as_the_bound_says(
    engines: tuple[TorchEngine, OnnxEngine, NumbaEngine], signal: str
) -> None:
    by_onnx = engines[1]
    hop = by_onnx.facts.hop_length
    audio = SIGNALS[signal]().astype(np.float32)
    audio = audio[: len(audio) // hop * hop]
    exact = by_onnx.encoder64.step(audio[None, None].astype(np.float64), None)[0][0].T
    directions = towards_others(by_onnx, exact)
    size = np.maximum(np.linalg.norm(exact, axis=1), by_onnx.manifest.typical_norm)[:, None]
    for name, found in latents(engines, audio).items():
        moved = np.abs(np.einsum("nkd,nd->nk", directions, found - exact)) / size
        assert 0 < 2 * moved.max() < by_onnx.manifest.rounding, name
