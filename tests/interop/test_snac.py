"""SNAC's own class with random weights: codes at several strides, attention, and noise that is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.codec import Codec
from codec.errors import CheckpointError, ConfigError, ModelError
from codec.interop.snac import to_frames, to_levels
from codec.models.snac import SnacDecoder
from tests.interop import peers

KINDS: dict[str, dict[str, Any]] = {
    "24 kHz": {},
    "attention": {"encoder_dim": 16, "decoder_dim": 64, "attn_window_size": 8},
    "44 kHz, no noise": {
        "sampling_rate": 44100,
        "encoder_rates": [3, 3, 7, 7],
        "decoder_rates": [7, 7, 3, 3],
        "vq_strides": [8, 4, 2, 1],
        "depthwise": False,
        "noise": False,
    },
}


class Peer(NamedTuple):
    """A peer in float32, the same in float64, and what was imported from it."""

    theirs: Any
    exact: Any
    model: Codec


def save(theirs: Any, folder: Path, **more: Any) -> None:
    keys = (
        "sampling_rate encoder_dim encoder_rates decoder_dim decoder_rates attn_window_size codebook_size "
        "codebook_dim vq_strides"
    )
    config = {key: getattr(theirs, key) for key in keys.split()}
    (folder / "config.json").write_text(json.dumps({"noise": True, "depthwise": True, **config, **more}))
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")


@pytest.fixture(scope="module", params=list(KINDS))
def peer(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Peer:
    options, folder = KINDS[request.param], tmp_path_factory.mktemp("snac")
    theirs = peers.snac(**options)
    save(theirs, folder, **{key: options[key] for key in ("noise", "depthwise") if key in options})
    silent = peers.without_noise(theirs)
    return Peer(silent, peers.exact(silent), codec.load(folder))


@torch.no_grad()
def check(peer: Peer, x: np.ndarray) -> None:
    levels = peer.exact.encode(torch.from_numpy(x).double())
    made = peer.theirs.decode(levels).numpy()
    codes = to_frames([level.numpy() for level in levels], peer.theirs.vq_strides)
    tokens = peer.model.encode_batch(list(x), peer.model.sample_rate)
    for item, expected, wave in zip(tokens, codes, made, strict=True):
        np.testing.assert_array_equal(item.codes[0], expected)
        np.testing.assert_allclose(peer.model.decode(item), wave[:, : x.shape[-1]], rtol=0, atol=1e-5)


def test_codes_are_equal_and_waveforms_within_1e_5_at_every_length(peer: Peer) -> None:
    for samples in peers.LENGTHS:
        for batch in (1, 3):
            check(peer, peers.audio(samples, 1, batch))


@settings(derandomize=True, deadline=None, max_examples=3)
@given(samples=st.integers(1, 100_000))
def test_they_are_at_any_length_up_to_100_000(peer: Peer, samples: int) -> None:
    check(peer, peers.audio(samples))


@torch.no_grad()
def test_fewer_levels_decode_as_the_sum_of_those_that_there_are(peer: Peer) -> None:
    x = peers.audio(9000)
    tokens = peer.model.encode(x[0], peer.model.sample_rate)
    levels = peer.theirs.encode(torch.from_numpy(x))
    strides = peer.theirs.vq_strides
    first, second = peer.theirs.quantizer.quantizers[:2]
    latents = sum(
        part.out_proj(part.decode_code(level)).repeat_interleave(stride, dim=-1)
        for part, level, stride in zip((first, second), levels, strides, strict=False)
    )
    kept = 1 + strides[0] // strides[1]
    heard = peer.model.decode(tokens.at(codebooks=kept))
    np.testing.assert_allclose(heard, peer.theirs.decoder(latents)[0, :, :9000], rtol=0, atol=1e-5)


def test_the_latents_follow_the_audio(peer: Peer) -> None:
    assert len(np.unique(peer.model.encode(peers.audio(50_000)[0], peer.model.sample_rate).codes[0])) >= 5


def test_decoding_twice_gives_the_same_for_there_is_no_noise(tmp_path: Path) -> None:
    theirs = peers.snac()
    save(theirs, tmp_path)
    model, x = codec.load(tmp_path), peers.audio(5000)[0]
    tokens = model.encode(x, 24000)
    np.testing.assert_array_equal(model.decode(tokens), model.decode(tokens))
    codes = theirs.encode(torch.from_numpy(x[None]))
    assert not torch.equal(theirs.decode(codes), theirs.decode(codes))


def test_noise_is_there_while_training() -> None:
    from codec.models.config import SnacConfig

    decoder, z = SnacDecoder(SnacConfig(decoder_channels=32), 512, 8), torch.randn(1, 8, 4)
    assert not torch.equal(decoder(z)[0], decoder(z)[0])
    decoder.eval()
    assert torch.equal(decoder(z)[0], decoder(z)[0])


def test_it_says_that_it_cannot_stream(peer: Peer) -> None:
    with pytest.raises(ModelError, match="cannot stream"):
        peer.model.stream_decoder()


@settings(derandomize=True, deadline=None)
@given(frames=st.integers(0, 5), rows=st.integers(1, 3))
def test_levels_become_frames_and_back(frames: int, rows: int) -> None:
    levels = [np.arange(rows * frames * points).reshape(rows, -1) for points in (1, 2, 4)]
    codes = to_frames(levels, (4, 2, 1))
    assert codes.shape == (rows, 7, frames)
    for before, after in zip(levels, to_levels(codes, (4, 2, 1)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_levels_of_other_lengths_are_refused() -> None:
    for levels in ([], [np.zeros((1, 2)), np.zeros((1, 3))]):
        with pytest.raises(ConfigError, match="must be"):
            to_frames(levels, (2, 1))
    with pytest.raises(ConfigError, match="7 codebooks"):
        to_levels(np.zeros((1, 3, 1), np.uint16), (4, 2, 1))


def test_another_latent_dim_is_refused(tmp_path: Path) -> None:
    save(peers.snac(), tmp_path, latent_dim=99)
    with pytest.raises(CheckpointError, match="latent_dim"):
        codec.load(tmp_path)


def test_the_real_size_is_equal_in_float32_too(tmp_path: Path) -> None:
    theirs = peers.snac(encoder_dim=48, decoder_dim=1024, codebook_size=4096)
    save(theirs, tmp_path)
    assert len(theirs.state_dict()) == 269
    assert round(sum(p.numel() for p in theirs.parameters()) / 1e6, 1) == 19.8
    model, x = codec.load(tmp_path), peers.audio(6000)
    silent = peers.without_noise(theirs)
    with torch.no_grad():
        levels = silent.encode(torch.from_numpy(x))
        made = silent.decode(levels)[0].numpy()
    tokens = model.encode(x[0], 24000)
    np.testing.assert_array_equal(tokens.codes, to_frames([level.numpy() for level in levels], (4, 2, 1)))
    np.testing.assert_allclose(model.decode(tokens), made[:, :6000], rtol=0, atol=1e-5)
