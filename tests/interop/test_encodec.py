"""EnCodec's own classes with random weights: equal codes and waveforms, streams, files and refusals.

The peers encode in float64: in float32 their own rounding decides between codes that are almost equally near,
where ours are those of exact arithmetic everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.codec import Codec
from codec.errors import ModelError
from codec.streaming import StreamDecoder
from tests.interop import peers

HF: dict[str, dict[str, Any]] = {
    "24": {},
    "24 constant": {"pad_mode": "constant"},
    "32": {
        "sampling_rate": 32000,
        "upsampling_ratios": [8, 5, 4, 4],
        "use_causal_conv": False,
        "use_conv_shortcut": False,
        "codebook_size": 2048,
        "target_bandwidths": [2.2],
    },
    "48": {
        "sampling_rate": 48000,
        "audio_channels": 2,
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
        "norm_type": "time_group_norm",
        "use_causal_conv": False,
        "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    },
}
HF["other sizes"] = {
    "upsampling_ratios": [6, 3],
    "num_residual_layers": 2,
    "residual_kernel_size": 5,
    "dilation_growth_rate": 3,
    "kernel_size": 5,
    "last_kernel_size": 3,
    "num_lstm_layers": 1,
    "target_bandwidths": [266.4],
}


class Peer(NamedTuple):
    """A peer and what was imported from it.

    encode: codes `[batch, codebooks, frames]` of audio `[batch, channels, samples]` at a bandwidth (kbps).
    code: those, and the waveform that they decode to.
    """

    model: Codec
    channels: int
    bandwidths: list[float]
    run: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module", params=["official 24", "official 48", *HF])
def peer(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Peer:
    folder = tmp_path_factory.mktemp("peer")
    if request.param.startswith("official"):
        return official(folder, stereo=request.param.endswith("48"))
    return hugging_face(folder, HF[request.param])


def official(folder: Path, *, stereo: bool, **sizes: int) -> Peer:
    theirs = peers.official_encodec(stereo=stereo, **sizes)
    path = folder / "encodec.th"
    torch.save(theirs.state_dict(), path)
    exact = peers.exact(theirs)

    @torch.no_grad()
    def run(x: np.ndarray, bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
        exact.set_target_bandwidth(bandwidth)
        frames = exact.encode(torch.from_numpy(x).double())
        made = theirs.decode([(c, None if scale is None else scale.float()) for c, scale in frames])
        return torch.cat([c for c, _ in frames], 2).numpy(), made.numpy()

    return Peer(codec.load(path), theirs.channels, theirs.target_bandwidths, run)


def hugging_face(folder: Path, options: dict[str, Any]) -> Peer:
    theirs = peers.hugging_face_encodec(**options)
    theirs.save_pretrained(folder)
    exact = peers.exact(theirs)

    @torch.no_grad()
    def run(x: np.ndarray, bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
        found = exact.encode(torch.from_numpy(x).double(), bandwidth=bandwidth)
        scales = [None if scale is None else scale.float() for scale in found.audio_scales]
        extra = found.last_frame_pad_length
        made = theirs.decode(found.audio_codes, scales, last_frame_pad_length=extra).audio_values
        codes = torch.cat(list(found.audio_codes), 2)
        return codes[..., : codes.shape[2] - extra].numpy(), made.numpy()

    return Peer(codec.load(folder), theirs.config.audio_channels, theirs.config.target_bandwidths, run)


def check(peer: Peer, x: np.ndarray, bandwidth: float) -> None:
    codes, made = peer.run(x, bandwidth)
    tokens = peer.model.encode_batch(list(x), peer.model.sample_rate, codebooks=codes.shape[1])
    for item, expected, wave in zip(tokens, codes, made, strict=True):
        np.testing.assert_array_equal(item.codes[0], expected)
        np.testing.assert_allclose(peer.model.decode(item), wave[:, : x.shape[2]], rtol=0, atol=1e-5)


def test_codes_are_equal_and_waveforms_within_1e_5_at_every_bandwidth(peer: Peer) -> None:
    for bandwidth in peer.bandwidths:
        check(peer, peers.audio(4321, peer.channels), bandwidth)


def test_they_are_at_every_length_alone_and_in_batches(peer: Peer) -> None:
    for samples in peers.LENGTHS:
        for batch in (1, 3):
            check(peer, peers.audio(samples, peer.channels, batch), peer.bandwidths[-1])


@settings(derandomize=True, deadline=None, max_examples=3)
@given(samples=st.integers(1, 100_000))
def test_they_are_at_any_length_up_to_100_000(peer: Peer, samples: int) -> None:
    check(peer, peers.audio(samples, peer.channels), peer.bandwidths[0])


def test_a_bandwidth_means_as_many_codebooks_as_with_the_peer(peer: Peer) -> None:
    for bandwidth in peer.bandwidths:
        codes, _ = peer.run(peers.audio(640, peer.channels), bandwidth)
        if bandwidth in peer.model.kbps:
            assert len(peer.model.sizes_for(kbps=bandwidth)) == codes.shape[1]


def test_trimmed_tokens_are_those_of_fewer_codebooks(peer: Peer) -> None:
    x, rate = peers.audio(3000, peer.channels)[0], peer.model.sample_rate
    low = peer.model.encode(x, rate).at(codebooks=2)
    assert low == peer.model.encode(x, rate, codebooks=2)
    assert peer.model.decode(low).shape == x.shape


def test_the_latents_follow_the_audio(peer: Peer) -> None:
    """Random weights that say the same whatever comes in would make equal codes of anything."""
    tokens = peer.model.encode(peers.audio(20_000, peer.channels)[0], peer.model.sample_rate)
    assert len(np.unique(tokens.codes[0, 0])) >= 5


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return official(tmp_path_factory.mktemp("causal"), stereo=False).model


cuts = st.lists(st.integers(0, 6000), max_size=5).map(sorted)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(samples=st.integers(0, 6000), at=cuts)
def test_a_stream_of_any_chunks_is_the_recording_exactly(causal: Codec, samples: int, at: list[int]) -> None:
    x = peers.audio(max(1, samples))[0][:, :samples]
    whole = causal.encode(x, 24000)
    encoder, decoder = causal.stream_encoder(), causal.stream_decoder(n_samples=samples)
    pieces = [encoder.push(part) for part in np.split(x, at, axis=1)] + [encoder.flush()]
    np.testing.assert_array_equal(np.concatenate(pieces, 2), whole.codes)
    frames = np.split(whole.codes, [cut // 320 for cut in at], axis=2)
    heard = np.concatenate([*map(decoder.push, frames), decoder.flush()], 1)
    np.testing.assert_allclose(heard, causal.decode(whole), rtol=0, atol=1e-6)


def test_only_the_first_seven_frames_of_a_stream_wait_for_each_other(causal: Codec) -> None:
    encoder, decoder = causal.stream_encoder(), causal.stream_decoder()
    codes = [encoder.push(frame) for frame in np.split(peers.audio(320 * 10)[0], 10, axis=1)]
    assert [part.shape[2] for part in codes] == [0] * 6 + [7, 1, 1, 1]
    heard = [decoder.push(part) for part in np.split(np.concatenate(codes, 2), 10, axis=2)]
    assert [part.shape[1] // 320 for part in heard] == [0] * 6 + [7, 1, 1, 1]
    assert causal.latency == 7 * 320 / 24000


def test_a_lost_packet_at_the_start_of_a_stream_keeps_its_time(causal: Codec) -> None:
    codes = causal.encode(peers.audio(3200)[0], 24000).codes
    decoder: StreamDecoder = causal.stream_decoder()
    heard = [decoder.push(None, frames=2), decoder.push(codes[..., 2:]), decoder.flush()]
    assert sum(part.shape[1] for part in heard) == 3200


def test_a_stereo_recording_of_segments_survives_its_token_file(tmp_path: Path) -> None:
    peer = official(tmp_path, stereo=True)
    tokens = peer.model.encode(peers.audio(96_000, 2)[0], 48000, kbps=6)
    assert (tokens.channels, tokens.frames) == (1, 150 + 150 + 3)
    codec.write(tmp_path / "a.cdc", tokens)
    again = codec.read(tmp_path / "a.cdc")
    assert again == tokens
    assert peer.model.decode(again).shape == (2, 96_000)
    low = peer.model.decode(again.at(kbps=3))
    np.testing.assert_array_equal(
        low, peer.model.decode(peer.model.encode(peers.audio(96_000, 2)[0], 48000, kbps=3))
    )


def test_a_mono_recording_counts_as_two_equal_channels(tmp_path: Path) -> None:
    model, x = official(tmp_path, stereo=True).model, peers.audio(4000)[0]
    mono, stereo = (model.encode(recording, 48000) for recording in (x, np.repeat(x, 2, 0)))
    np.testing.assert_array_equal(mono.codes, stereo.codes)
    np.testing.assert_allclose(model.decode(mono)[0], model.decode(stereo).mean(0), rtol=0, atol=1e-6)
    with pytest.raises(codec.AudioError, match="2 channels"):
        model.encode(np.zeros((3, 100), np.float32), 48000)


def test_a_recording_at_another_rate_keeps_its_length(tmp_path: Path) -> None:
    model = official(tmp_path, stereo=True).model
    assert model.decode(model.encode(peers.audio(12_345, 2)[0], 44100)).shape == (2, 12_345)
    assert model.decode(model.encode(np.zeros((2, 0), np.float32), 48000)).shape == (2, 0)


def test_damaged_levels_are_named(tmp_path: Path) -> None:
    from dataclasses import replace

    model = official(tmp_path, stereo=True).model
    tokens = model.encode(peers.audio(50_000, 2)[0], 48000)
    for metadata in ({}, {**tokens.metadata, "segments.scales": "=x"}):
        with pytest.raises(ModelError, match="levels"):
            model.decode(replace(tokens, metadata=metadata))
    with pytest.raises(ModelError, match="trimmed, but not cut"):
        model.decode(replace(tokens, codes=tokens.codes[..., 5:]))


def test_models_that_look_ahead_say_that_they_cannot_stream(tmp_path: Path) -> None:
    for model in (hugging_face(tmp_path, HF["32"]).model, official(tmp_path, stereo=True).model):
        assert not model.streams
        for refused in (model.stream_encoder, model.stream_decoder):
            with pytest.raises(ModelError, match="cannot stream"):
                refused()


@pytest.mark.parametrize("stereo", [False, True])
def test_the_official_sizes_are_equal_in_float32_too(tmp_path: Path, stereo: bool) -> None:
    peer = official(tmp_path, stereo=stereo, filters=32, dim=128)
    theirs = peers.official_encodec(stereo=stereo, filters=32, dim=128)
    theirs.set_target_bandwidth(6.0)
    x = peers.audio(12_000, peer.channels)
    with torch.no_grad():
        frames = theirs.encode(torch.from_numpy(x))
    np.testing.assert_array_equal(
        peer.model.encode(x[0], peer.model.sample_rate, kbps=6).codes, frames[0][0].numpy()
    )
    check(peer, x, 6.0)
