"""`.dac` files as tokens and as audio: whole recordings, and long ones in windows."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import DacModel

import codec
from codec import tokenfile
from codec.codec import Codec
from codec.errors import ConfigError, ModelError
from codec.interop import dac_tokens
from codec.interop.dac_file import DacFile
from codec.interop.dac_windows import MODELS
from codec.loudness import lufs
from tests.interop import peers

WINDOW = 72  # frames of a window of a second at 44.1 kHz


@pytest.fixture(scope="module")
def peer() -> DacModel:
    return peers.hugging_face_dac(sampling_rate=44100, codebook_size=1024, n_codebooks=9)


@pytest.fixture(scope="module")
def model(peer: DacModel, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = tmp_path_factory.mktemp("dac")
    peer.save_pretrained(folder)
    return codec.load(folder)


def some(*, padding: bool, channels: int = 1, db: float = -20.0) -> DacFile:
    """Random codes of two seconds."""
    frames = 173 if padding else 4 * WINDOW
    codes = np.random.default_rng(1).integers(0, 1024, (channels, 9, frames)).astype(np.uint16)
    loudness = np.array([db], np.float32)
    return DacFile(codes, loudness, 88_200, 44_100, frames if padding else WINDOW, channels, padding)


@torch.no_grad()
def reference(peer: DacModel, content: DacFile) -> np.ndarray:
    """What the official package does: without padding it sets that of every convolution to 0."""
    decoder = copy.deepcopy(peer.decoder)
    for layer in decoder.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d) and not content.padding:
            layer.padding = (0,)
    parts = []
    for codes in torch.from_numpy(content.codes.astype(np.int64)).split(content.chunk_length, dim=2):
        parts.append(decoder(peer.quantizer.from_codes(codes)[0]))
    audio = torch.cat(parts, dim=-1)[:, 0, : content.original_length].numpy()
    return audio * 10 ** ((float(content.input_db[0]) - lufs(audio, 44_100)) / 20)


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_is_the_peer_s_and_as_loud_as_the_recording_was(
    peer: DacModel, model: Codec, padding: bool, channels: int
) -> None:
    content = some(padding=padding, channels=channels)
    audio = dac_tokens.decode(content, model)
    assert audio.shape == (channels, 88_200)
    np.testing.assert_allclose(audio, reference(peer, content), rtol=0, atol=1e-5)
    assert lufs(audio, 44_100) == pytest.approx(-20, abs=0.01)


def test_the_recording_s_own_sample_rate_comes_back(model: Codec) -> None:
    content = replace(some(padding=True), sample_rate=22_050, original_length=44_100)
    assert dac_tokens.decode(content, model, codebooks=2).shape == (1, 44_100)


@pytest.mark.parametrize("padding", [True, False])
def test_files_become_tokens_and_files_again(padding: bool, tmp_path: Path) -> None:
    content = some(padding=padding, channels=2, db=-23.4567)
    tokens = dac_tokens.to_tokens(content)
    assert (tokens.model, tokens.weights_hash, tokens.duration) == ("dac_44khz", "", 2.0)
    tokenfile.write(tmp_path / "a.cdc", tokens)
    back = dac_tokens.from_tokens(tokenfile.read(tmp_path / "a.cdc"))
    assert np.array_equal(back.codes, content.codes)
    assert np.array_equal(back.input_db, content.input_db)
    assert back.input_db.dtype == np.float32
    assert replace(back, codes=content.codes, input_db=content.input_db) != back  # arrays are no values
    for name in ("original_length", "sample_rate", "chunk_length", "channels", "padding"):
        assert getattr(back, name) == getattr(content, name)


def test_windows_cannot_be_decoded_as_if_they_followed_each_other(model: Codec) -> None:
    tokens = dac_tokens.to_tokens(some(padding=False))
    assert tokens.frame_rate > model.frame_rate
    with pytest.raises(ModelError, match="frame rate"):
        model.decode(tokens)


def test_tokens_that_were_cut_or_tampered_with_are_no_file_any_more() -> None:
    tokens = dac_tokens.to_tokens(some(padding=True))
    with pytest.raises(ConfigError, match="part of one"):
        dac_tokens.from_tokens(tokenfile.cut(tokens, 0.5, 1))
    with pytest.raises(ConfigError, match="were cut"):
        dac_tokens.from_tokens(replace(tokens, codes=tokens.codes[:, :, :-1].copy()))
    for text in ("", "[]", '{"frames": 173}', "[" * 30_000):
        with pytest.raises(ConfigError, match="not what"):
            dac_tokens.from_tokens(replace(tokens, metadata={"dac": text}))
    said = tokens.metadata["dac"]
    for old, new in (("[1]", "[1000000000, 100]"), ("[-20.0]", '["x"]'), ("[-20.0]", "[NaN]")):
        assert old in said
        with pytest.raises(ConfigError):
            dac_tokens.from_tokens(replace(tokens, metadata={"dac": said.replace(old, new)}))


def test_tokens_of_our_encoding_become_a_file_by_listening_to_them(model: Codec) -> None:
    audio = peers.audio(30_000)[0]
    tokens = model.encode(audio, 44_100)
    with pytest.raises(ConfigError, match="how loud"):
        dac_tokens.from_tokens(tokens)
    content = dac_tokens.from_tokens(tokens, model)
    assert content.padding
    assert content.original_length == 30_000
    assert float(content.input_db[0]) == pytest.approx(lufs(model.decode(tokens), 44_100), abs=0.01)
    np.testing.assert_allclose(dac_tokens.decode(content, model), model.decode(tokens), rtol=0, atol=1e-5)


def test_another_model_cannot_decode_it(model: Codec, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="speech-16k is another model"):
        dac_tokens.decode(some(padding=True), codec.load())
    other = peers.hugging_face_dac(sampling_rate=16000, downsampling_ratios=[2, 4, 5, 8])
    other.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="dac_44khz, at 44100 Hz"):
        dac_tokens.decode(some(padding=True), codec.load(tmp_path))


def test_known_windows() -> None:
    # Of `get_output_length` in descript-audio-codec 1.0.0, with windows of a second.
    assert [m.window_frames(-(-m.sample_rate // m.hop_length) * m.hop_length) for m in MODELS[:3]] == [
        72,
        59,
        34,
    ]
    assert [m.window_samples(n) for m, n in zip(MODELS, (72, 59, 34), strict=False)] == [28522, 13346, 5346]
