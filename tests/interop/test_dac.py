"""DAC: Hugging Face's class with random weights, and official files of the same weights."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.codec import Codec
from codec.errors import CheckpointError, ModelError
from tests.interop import peers

KINDS: dict[str, dict[str, Any]] = {
    "44 kHz": {"sampling_rate": 44100},
    "16 kHz": {"sampling_rate": 16000, "downsampling_ratios": [2, 4, 5, 8]},
}


class Peer(NamedTuple):
    """A peer in float32, the same in float64, and what was imported from it."""

    theirs: Any
    exact: Any
    model: Codec


@pytest.fixture(scope="module", params=list(KINDS))
def peer(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Peer:
    theirs, folder = peers.hugging_face_dac(**KINDS[request.param]), tmp_path_factory.mktemp("dac")
    theirs.save_pretrained(folder)
    return Peer(theirs, copy.deepcopy(theirs).double(), codec.load(folder))


@torch.no_grad()
def check(peer: Peer, x: np.ndarray, codebooks: int) -> None:
    hop, n = peer.model.hop_length, x.shape[-1]
    whole = torch.from_numpy(np.pad(x, ((0, 0), (0, 0), (0, -n % hop)))).double()
    codes = peer.exact.encode(whole, n_quantizers=codebooks).audio_codes
    made = peer.theirs.decode(audio_codes=codes).audio_values.numpy()
    tokens = peer.model.encode_batch(list(x), peer.model.sample_rate, codebooks=codebooks)
    for item, expected, wave in zip(tokens, codes.numpy(), made, strict=True):
        np.testing.assert_array_equal(item.codes[0], expected)
        heard = peer.model.decode(item)[0]
        np.testing.assert_allclose(heard[: len(wave)], wave[:n], rtol=0, atol=1e-5)
        assert len(heard) == n
        assert not heard[len(wave) :].any()  # the samples that odd strides lose are silence


def test_codes_are_equal_and_waveforms_within_1e_5_with_any_number_of_codebooks(peer: Peer) -> None:
    for codebooks in range(1, 5):
        check(peer, peers.audio(4321), codebooks)


def test_they_are_at_every_length_alone_and_in_batches(peer: Peer) -> None:
    for samples in (*peers.LENGTHS, 512, 513):
        for batch in (1, 3):
            check(peer, peers.audio(samples, 1, batch), 4)


@settings(derandomize=True, deadline=None, max_examples=3)
@given(samples=st.integers(1, 100_000))
def test_they_are_at_any_length_up_to_100_000(peer: Peer, samples: int) -> None:
    check(peer, peers.audio(samples), 4)


def test_the_latents_follow_the_audio(peer: Peer) -> None:
    assert len(np.unique(peer.model.encode(peers.audio(20_000)[0], peer.model.sample_rate).codes[0, 0])) >= 5


def test_channels_of_a_recording_are_coded_by_themselves(peer: Peer) -> None:
    x, rate = peers.audio(3000, 1, 2)[:, 0], peer.model.sample_rate
    tokens = peer.model.encode(x, rate)
    assert tokens.channels == 2
    np.testing.assert_array_equal(tokens.codes[1:], peer.model.encode(x[1], rate).codes)
    np.testing.assert_allclose(
        peer.model.decode(tokens)[1:], peer.model.decode(peer.model.encode(x[1], rate)), rtol=0, atol=1e-6
    )


def test_it_says_that_it_cannot_stream(peer: Peer) -> None:
    with pytest.raises(ModelError, match="cannot stream"):
        peer.model.stream_encoder()


def official(theirs: Any, rate: int) -> dict[str, Any]:
    """The content of an official file: its names, with lengths and directions of weights."""
    blocks = len(theirs.encoder.block)
    units = {f"res_unit{i}": i - 1 for i in (1, 2, 3)}
    leaves = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}
    outer = {"conv1": 0, "snake1": blocks + 1, "conv2": blocks + 2}

    def rename(name: str) -> str:
        half, _, rest = name.partition(".")
        if half == "quantizer":
            return name
        base = "encoder.block" if half == "encoder" else "decoder.model"
        part, _, leaf = rest.partition(".")
        if part != "block":
            return f"{base}.{outer[part]}.{leaf}"
        number, inner, leaf = leaf.split(".", 2)
        where = f"{base}.{int(number) + 1}.block"
        if inner in units:
            layer, leaf = leaf.split(".", 1)
            return f"{where}.{units[inner] + (2 if half == 'decoder' else 0)}.block.{leaves[layer]}.{leaf}"
        place = {"encoder": {"snake1": 3, "conv1": 4}, "decoder": {"snake1": 0, "conv_t1": 1}}[half][inner]
        return f"{where}.{place}.{leaf}"

    tensors = {}
    for name, tensor in theirs.state_dict().items():
        name = rename(name)
        if name.endswith(".weight") and "codebook" not in name:
            length = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
            tensors[f"{name}_g"], tensors[f"{name}_v"] = length, 3 * tensor
        else:
            tensors[name] = tensor
    return {"state_dict": tensors, "metadata": {"kwargs": {"sample_rate": rate, "n_codebooks": 4}}}


def test_an_official_file_is_the_same_model(peer: Peer, tmp_path: Path) -> None:
    torch.save(official(peer.theirs, peer.model.sample_rate), tmp_path / "weights.pth")
    model, x = codec.load(tmp_path / "weights.pth"), peers.audio(5000)[0]
    assert (model.name, model.sample_rate) == (peer.model.name, peer.model.sample_rate)
    np.testing.assert_array_equal(
        model.encode(x, model.sample_rate).codes, peer.model.encode(x, model.sample_rate).codes
    )


def test_an_official_file_has_the_names_of_the_44_khz_model() -> None:
    """301 tensors, three of them quoted."""
    theirs = peers.hugging_face_dac(sampling_rate=44100, n_codebooks=9)
    names = official(theirs, 44100)["state_dict"].keys()
    assert len(names) == 301
    assert {"encoder.block.1.block.0.block.3.weight_g", "decoder.model.4.block.4.block.2.alpha"} <= names
    assert not [name for name in names if re.search(r"res_unit|conv\d", name)]


def test_a_file_without_a_sample_rate_is_refused(peer: Peer, tmp_path: Path) -> None:
    content = official(peer.theirs, 44100)
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="sample rate"):
        codec.load(tmp_path / "weights.pth")


def test_the_real_size_is_equal_in_float32_too(tmp_path: Path) -> None:
    theirs = peers.hugging_face_dac(
        sampling_rate=16000,
        downsampling_ratios=[2, 4, 5, 8],
        encoder_hidden_size=64,
        decoder_hidden_size=1536,
        codebook_size=1024,
        n_codebooks=12,
    )
    theirs.save_pretrained(tmp_path)
    model, x = codec.load(tmp_path), peers.audio(700)
    with torch.no_grad():
        codes = theirs.encode(torch.from_numpy(np.pad(x, ((0, 0), (0, 0), (0, -700 % 320))))).audio_codes
        made = theirs.decode(audio_codes=codes).audio_values[0].numpy()
    tokens = model.encode(x[0], 16000)
    np.testing.assert_array_equal(tokens.codes, codes.numpy())
    np.testing.assert_allclose(model.decode(tokens)[0, : len(made)], made[:700], rtol=0, atol=1e-5)
