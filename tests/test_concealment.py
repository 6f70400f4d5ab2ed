"""Packets that are lost: the audio keeps its timing, the gap is filled, and what follows is as it was."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.audio import read_audio
from codec.codec import Codec
from codec.errors import ConfigError
from codec.evaluation.loss import FILLS, Loss, decode_with_losses, lost_frames
from codec.evaluation.metrics import pesq_wb, stoi
from codec.files import decode_file
from codec.models import CodecConfig
from codec.tokenfile import PageReader, write
from codec.tokens import Tokens
from tests.networks import CONFIGS, small_codec


@pytest.fixture(scope="module")
def tokens(model: Codec, speech: np.ndarray) -> Tokens:
    return model.encode(speech[:96_000], 16000, kbps=6)


@pytest.fixture(scope="module")
def heard(model: Codec, tokens: Tokens) -> np.ndarray:
    return model.decode(tokens)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_lost_packets_keep_the_timing(model: Codec, speech: np.ndarray, rate: int) -> None:
    made = model.encode(speech[:50_000], rate)
    lost = lost_frames(made.frames, Loss(0.3), np.random.default_rng(1))
    assert lost.any()
    whole = model.decode(made)
    audio = decode_with_losses(model, made, lost, FILLS["repeat and fade"])
    assert audio.shape == whole.shape
    # Resampling looks ahead, by less than a frame.
    before = (int(np.flatnonzero(lost)[0]) - 2) * rate // 50
    np.testing.assert_allclose(audio[:, :before], whole[:, :before], rtol=0, atol=1e-5)


def test_what_follows_a_loss_is_soon_as_if_nothing_had_been_lost(
    model: Codec, tokens: Tokens, heard: np.ndarray
) -> None:
    lost = np.zeros(tokens.frames, bool)
    lost[50:53] = True
    audio = decode_with_losses(model, tokens, lost, FILLS["repeat and fade"])
    assert not np.allclose(audio[:, 51 * 320 : 53 * 320], heard[:, 51 * 320 : 53 * 320], atol=1e-3)
    # The decoder's outputs depend on 37 frames.
    np.testing.assert_allclose(audio[:, 91 * 320 :], heard[:, 91 * 320 :], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("burst", "measure"), [(1, stoi), (1, pesq_wb), (3, stoi)])
def test_holding_a_frame_is_better_than_code_zero(
    model: Codec, tokens: Tokens, speech: np.ndarray, burst: int, measure: Callable[..., float]
) -> None:
    """On the average of four patterns of losses, one of which alone may say the opposite."""
    quality = dict.fromkeys(FILLS, 0.0)
    for seed in range(4):
        lost = lost_frames(tokens.frames, Loss(0.05, burst), np.random.default_rng(seed))
        for name, fill in FILLS.items():
            made = decode_with_losses(model, tokens, lost, fill)[0]
            quality[name] += measure(speech[:96_000], made, 16000) / 4
    assert quality["repeat and fade"] > quality["zero codes"]


def test_a_long_loss_falls_silent_and_the_sound_comes_back(model: Codec, tokens: Tokens) -> None:
    decoder = model.stream_decoder()
    before = decoder.push(tokens.codes[:, :, :100])
    gap = decoder.push(None, frames=600)
    assert gap.shape == (1, 600 * 320)
    assert 0 < np.abs(gap[:, : 5 * 320]).max() <= 1.5 * np.abs(before).max()
    assert not gap[:, 20 * 320 :].any()
    assert np.abs(decoder.push(tokens.codes[:, :, 100:110])).max() > 0.01


def test_a_loss_in_any_pieces_is_the_same(model: Codec, tokens: Tokens) -> None:
    heard = []
    for pieces in ([25], [1] * 25, [3, 0, 15, 7]):
        decoder = model.stream_decoder()
        parts = [decoder.push(tokens.codes[:, :, :60])]
        parts += [decoder.push(None, frames=n) for n in pieces]
        parts += [decoder.push(tokens.codes[:, :, 60:70]), decoder.flush()]
        heard.append(np.concatenate(parts, axis=1))
    for other in heard[1:]:
        np.testing.assert_allclose(other, heard[0], rtol=0, atol=1e-5)


def test_a_lost_packet_is_as_long_as_the_one_before(model: Codec, tokens: Tokens) -> None:
    decoder = model.stream_decoder()
    decoder.push(tokens.codes[:, :, :4])
    assert decoder.push(None).shape == (1, 4 * 320)
    assert decoder.push(None, frames=2).shape == (1, 2 * 320)
    assert decoder.push(None).shape == (1, 2 * 320)


def test_what_is_lost_before_anything_was_heard_is_silence(model: Codec, tokens: Tokens) -> None:
    decoder = model.stream_decoder(channels=2)
    # One frame, of which the decoder's delay of one hop is dropped.
    assert decoder.push(None).shape == (2, 0)
    assert not decoder.push(None, frames=30).any()
    both = np.concatenate([tokens.codes, tokens.codes])
    assert decoder.push(both).any()


def test_a_wrong_number_of_frames_is_refused(model: Codec, tokens: Tokens) -> None:
    decoder = model.stream_decoder()
    for codes, frames in ((None, -1), (None, 1.5), (tokens.codes, tokens.frames + 1)):
        with pytest.raises(ConfigError, match="frames"):
            decoder.push(codes, frames=frames)  # type: ignore[arg-type]
    decoder.flush()
    with pytest.raises(ConfigError, match="flushed"):
        decoder.push(None)


def test_a_damaged_page_of_a_file_is_decoded_around(
    model: Codec, tokens: Tokens, heard: np.ndarray, tmp_path: Path
) -> None:
    file = io.BytesIO()
    write(file, tokens, page_frames=50)
    damaged = bytearray(file.getvalue())
    damaged[len(damaged) // 2] ^= 1
    path, wav = tmp_path / "a.cdc", tmp_path / "a.wav"
    path.write_bytes(damaged)
    # In packets, as a program of its own would.
    reader = PageReader(io.BytesIO(damaged), conceal=True)
    decoder = model.stream_decoder(n_samples=tokens.n_samples)
    parts = [decoder.push(codes, frames=frames) for codes, frames in reader.packets()]
    audio = np.concatenate([*parts, decoder.flush()], axis=1)
    ((first, last),) = reader.damaged
    assert audio.shape == heard.shape
    np.testing.assert_allclose(
        audio[:, : first * 320 - 320], heard[:, : first * 320 - 320], rtol=0, atol=1e-5
    )
    assert not audio[:, (first + 21) * 320 : (last - 1) * 320].any()
    # By the command, as a whole and in stretches.
    for start, end in ((None, None), (1.0, 4.5), (3.0, None)):
        decode_file(lambda *_: model, path, wav, start=start, end=end, conceal=True)
        got, _ = read_audio(wav)
        begin, stop = round((start or 0) * 16000), heard.shape[1] if end is None else round(end * 16000)
        np.testing.assert_allclose(got, audio[:, begin:stop], rtol=0, atol=2 / 32768)


def test_tokens_of_a_damaged_file_say_nothing_of_sound(tokens: Tokens) -> None:
    file = io.BytesIO()
    write(file, tokens, page_frames=50)
    damaged = bytearray(file.getvalue())
    damaged[len(damaged) // 2] ^= 1
    got = codec.read(io.BytesIO(damaged), conceal=True)
    lost = ~got.codes.any(axis=(0, 1))
    assert lost.sum() == 50
    assert dataclasses.replace(got, codes=tokens.codes) == tokens


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_kind_of_network_falls_silent(config: CodecConfig) -> None:
    small = small_codec(config)
    codes = np.random.default_rng(0).integers(0, 64, (2, 4, 50)).astype(np.uint16)
    decoder = small.stream_decoder(channels=2)
    assert decoder.push(codes).any()
    gap = decoder.push(None, frames=60)
    assert gap.shape == (2, 60 * small.hop_length)
    assert np.isfinite(gap).all()
    assert not gap[:, 20 * small.hop_length :].any()
    assert decoder.push(codes).any()
