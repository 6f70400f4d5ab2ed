"""Whether exported graphs do what PyTorch does: on noise, speech-like level changes, clicks and silence."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import numpy as np
import torch

from codec.errors import ModelError
from codec.nn import State, StreamModule
from codec.runtime.engine import OnnxEngine
from codec.runtime.session import Session
from codec.torch_engine import TorchEngine

# Of the largest value that PyTorch gives; float32 has seven digits.
TOLERANCE = 1e-4
_FRAMES = 120


@dataclass(frozen=True)
class Difference:
    """The largest differences from PyTorch, relative to the largest value.

    latents, latents64: of the encoder in float32 and in float64. audio: of the decoder. states: of all.
    frames: whose codes were compared, and all equal.
    """

    latents: float
    latents64: float
    audio: float
    states: float
    frames: int


def compare(ours: TorchEngine, exported: OnnxEngine) -> Difference:
    """Runs both in chunks of several lengths.

    Raises:
        ModelError: values that differ by more than `TOLERANCE`, or codes that differ at all.
    """
    network, facts = ours.network, ours.facts
    audio = _signals(facts.hop_length)
    latents, states_a = _run(network.encoder, exported.encoder, audio, facts.hop_length)
    encoder64 = copy.deepcopy(network.encoder).double()
    latents64, states_b = _run(encoder64, exported.encoder64, audio.astype(np.float64), facts.hop_length)
    codes = ours.encoding(facts.codebook_sizes).step(audio)[0]
    wrong = int((codes != exported.encoding(facts.codebook_sizes).step(audio)[0]).any(axis=1).sum())
    if wrong:
        raise ModelError(f"The exported graphs give other codes than PyTorch in {wrong} frames.")
    quantized = ours.decoding(facts.codebook_sizes).latents(codes)
    decoded, states_c = _run(network.decoder, exported.decoder, quantized, 1)
    found = Difference(latents, latents64, decoded, max(states_a, states_b, states_c), codes[:, 0].size)
    worst = max(found.latents, found.latents64, found.audio, found.states)
    if not worst <= TOLERANCE:
        raise ModelError(f"The exported graphs differ from PyTorch by {worst:.1e} of the largest value.")
    return found


@torch.inference_mode()
def _run(layer: StreamModule, session: Session, x: np.ndarray, step: int) -> tuple[float, float]:
    """The largest differences of the output and of the states, over chunks of x `[batch, ..., time]`.

    That zeros are the start of a stream is part of it: PyTorch starts with None.
    """
    state: State = None
    before = None
    apart = states_apart = 0.0
    cuts = [0, 1, 2, 9, 10, 50, x.shape[-1] // step]
    x = x if x.ndim == 3 else x[:, None]
    for begin, end in itertools.pairwise(cuts):
        chunk = np.ascontiguousarray(x[..., begin * step : end * step])
        y, state = layer(torch.from_numpy(chunk), state)
        found, before = session.step(chunk, before)
        apart = max(apart, _apart(y.numpy(), found))
        for a, b in zip(_flat(state), before, strict=True):
            states_apart = max(states_apart, _apart(a.numpy(), b))
    return apart, states_apart


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        raise ModelError(f"The exported graphs give values of shape {b.shape} for {a.shape}.")
    return float(np.abs(a - b).max(initial=0) / max(1e-9, np.abs(a).max(initial=0)))


def _flat(state: State) -> list[torch.Tensor]:
    """The tensors of a tree of states, in order."""
    if isinstance(state, torch.Tensor):
        return [state]
    return [tensor for part in state or () for tensor in _flat(part)]


def _signals(hop: int) -> np.ndarray:
    """Audio float32 `[batch, samples]`."""
    random = np.random.default_rng(0)
    samples = _FRAMES * hop
    noise = 0.2 * random.standard_normal(samples)
    swelling = noise * np.geomspace(1e-4, 1, samples)
    clicks = np.zeros(samples)
    clicks[random.integers(samples // 4, samples, 20)] = random.uniform(-1, 1, 20)
    return np.stack([noise, swelling, clicks]).astype(np.float32)
