"""Codes are those of float64 arithmetic, however they were computed."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from codec.audio import read_audio, resample
from codec.codec import Codec
from codec.exact import EncoderState, ExactEncoder
from codec.models import CodecConfig
from codec.models.network import CodecNetwork
from codec.models.spectral import SpectralEncoder
from codec.nn import ConvNeXtBlock
from tests.networks import CONFIGS, RECURRENT, SPECTRAL, engine_of, small_network

RATE = 16000


def signals(speech: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    music, rate = read_audio(Path(__file__).parents[1] / "samples" / "music.flac")
    clicks = np.zeros(5 * RATE)
    clicks[random.integers(0, len(clicks), 50)] = random.uniform(-1, 1, 50)
    return {
        "speech": speech,
        "music": resample(music[:1], rate, RATE)[0],
        "noise": 0.2 * random.standard_normal(5 * RATE),
        "quiet noise": 10**-3.5 * random.standard_normal(5 * RATE),
        "too loud": 20 * random.standard_normal(2 * RATE),
        "silence": np.zeros(2 * RATE),
        "clicks": clicks,
    }


def exact_codes(network: CodecNetwork, audio: torch.Tensor) -> torch.Tensor:
    """Codes `[codebooks, frames]` of audio `[samples]` with all arithmetic in float64."""
    encoder, quantizer = copy.deepcopy(network.encoder).double(), copy.deepcopy(network.quantizer).double()
    with torch.inference_mode():
        return quantizer.encode(encoder(audio.double()[None, None])[0]).codes[0]


def whole_frames(x: np.ndarray, hop: int) -> torch.Tensor:
    return torch.from_numpy(x[: len(x) // hop * hop].astype(np.float32))


@pytest.fixture(scope="module", params=["shipped", "shaken"])
def network(request: pytest.FixtureRequest, model: Codec) -> CodecNetwork:
    """The shipped network, and the same with all its blocks far from the identity."""
    network = copy.deepcopy(engine_of(model).network)
    if request.param == "shaken":
        torch.manual_seed(0)
        for block in network.encoder.modules():
            if isinstance(block, ConvNeXtBlock):
                torch.nn.init.normal_(block.contract.weight, std=0.05)
                torch.nn.init.normal_(block.contract.bias, std=0.02)
    return network


def test_codes_are_those_of_float64_everywhere(network: CodecNetwork, speech: np.ndarray) -> None:
    encoder, hop = ExactEncoder(network), network.config.hop_length
    for name, x in signals(speech).items():
        audio = whole_frames(x, hop)
        codes, state = encoder.step(
            audio[None, None], EncoderState(), encoder.search(len(network.quantizer.codebook_sizes))
        )
        expected = exact_codes(network, audio)
        assert torch.equal(codes[0], expected), name
        assert state.frames == expected.shape[1]
        assert state.rechecked <= 0.2 * state.frames, (
            f"{name}: most frames must be decided by the fast search"
        )


def test_float32_latents_are_better_than_the_bound(network: CodecNetwork, speech: np.ndarray) -> None:
    """Whole latents, of which only what lies in the direction of a border counts."""
    typical = float(network.quantizer.typical_norm())
    exact = copy.deepcopy(network.encoder).double()
    for name, x in signals(speech).items():
        audio = whole_frames(x, network.config.hop_length)[None, None]
        with torch.inference_mode():
            fast, slow = network.encoder(audio)[0], exact(audio.double())[0]
        error = (fast - slow).norm(dim=1) / slow.norm(dim=1).clamp(min=typical)
        assert float(error.max()) < network.encoder.rounding, name


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_kind_of_network_is_exact_in_chunks(config: CodecConfig) -> None:
    network = small_network(config)
    encoder, hop = ExactEncoder(network), config.hop_length
    torch.manual_seed(1)
    audio = 0.3 * torch.randn(600 * hop)
    expected = exact_codes(network, audio)
    random = np.random.default_rng(0)
    state, parts, at = EncoderState(), [], 0
    while at < 600:
        frames = int(random.choice([1, 2, 7, 30, 100]))
        codes, state = encoder.step(
            audio[None, None, at * hop : (at + frames) * hop], state, encoder.search(4)
        )
        parts.append(codes[0])
        at += frames
    assert torch.equal(torch.cat(parts, 1), expected)


@pytest.fixture
def everything_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpectralEncoder, "rounding", 1e9)


@pytest.mark.usefixtures("everything_unsure")
@pytest.mark.parametrize("frames", [1, 3, 300])
def test_the_recheck_alone_gives_the_codes_of_float64(frames: int) -> None:
    """Also at the start of a stream, where there is no past, and when every frame needs it."""
    network = small_network()
    encoder, hop = ExactEncoder(network), SPECTRAL.hop_length
    torch.manual_seed(2)
    audio = 0.3 * torch.randn(2, 300 * hop)
    state, parts = EncoderState(), []
    for at in range(0, 300, frames):
        codes, state = encoder.step(audio[:, None, at * hop : (at + frames) * hop], state, encoder.search(4))
        parts.append(codes)
    made = torch.cat(parts, 2)
    assert state.rechecked == 600
    for row in range(2):
        assert torch.equal(made[row], exact_codes(network, audio[row]))


@pytest.mark.parametrize("every", [1, 5, 60])
def test_windows_hold_what_their_frames_depend_on(every: int) -> None:
    """Whatever frames are unsure, alone or in groups, exactly those are decided, and rightly."""
    network = small_network()
    encoder, hop = ExactEncoder(network), SPECTRAL.hop_length
    torch.manual_seed(3)
    audio = 0.3 * torch.randn(200 * hop)
    expected = exact_codes(network, audio)
    wrong = torch.full((1, 4, 200), -1)
    unsure = torch.zeros(1, 200, dtype=torch.bool)
    unsure[0, ::every] = True
    with torch.inference_mode():
        encoder._recheck(wrong, unsure, audio[None, None], encoder.search(4), at_start=True)
    assert torch.equal(wrong[0][:, ::every], expected[:, ::every])
    assert (wrong[0][:, ~unsure[0]] == -1).all()


def test_equal_code_vectors_are_named_by_the_first() -> None:
    network = small_network()
    codebook = network.quantizer.state_dict()["stages.0.codebook"]
    codebook[:32] = codebook[32:].clone()
    torch.manual_seed(4)
    audio = 0.3 * torch.randn(1, 1, 200 * SPECTRAL.hop_length)
    encoder = ExactEncoder(network)
    codes, state = encoder.step(audio, EncoderState(), encoder.search(4))
    assert int(codes[0, 0].max()) < 32
    assert state.rechecked < 20


def test_a_network_without_finite_history_is_computed_in_float64() -> None:
    network = small_network(RECURRENT)
    audio = 0.3 * torch.randn(1, 1, 100 * RECURRENT.hop_length)
    encoder = ExactEncoder(network)
    codes, state = encoder.step(audio, EncoderState(), encoder.search(4))
    assert state.rechecked == 0
    assert torch.equal(codes[0], exact_codes(network, audio[0, 0]))


def test_no_frames_give_no_codes_and_leave_the_state() -> None:
    encoder = ExactEncoder(small_network())
    codes, state = encoder.step(torch.zeros(2, 1, 0), EncoderState(), encoder.search(3))
    assert codes.shape == (2, 3, 0)
    assert state == EncoderState()
