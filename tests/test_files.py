"""Files are coded block by block, with the same result as all at once, whatever is known of their length."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codec
from codec.audio import AudioWriter, read_audio
from codec.files import decode_file, encode_file
from codec.tokenfile import PageWriter, header_of, read_header


def write_wav(path: Path, x: np.ndarray, rate: int) -> np.ndarray:
    """Writes float samples exactly, and gives them back as `[channels, samples]`."""
    x = np.atleast_2d(x).astype(np.float32)
    with AudioWriter(path, rate, len(x), "FLOAT") as writer:
        writer.write(x)
    return x


def as_wav_holds_it(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(np.clip(x, -1, 1) * 32768), -32768, 32767).astype(np.float32) / 32768


def test_a_long_recording_is_coded_in_blocks_and_as_if_at_once(
    model: codec.Codec, speech: np.ndarray, tmp_path: Path
) -> None:
    x = write_wav(tmp_path / "a.wav", np.tile(speech, 4), 16000)
    seen: list[tuple[float, float | None]] = []
    coded = encode_file(
        model,
        tmp_path / "a.wav",
        tmp_path / "a.cdc",
        kbps=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    tokens = codec.read(tmp_path / "a.cdc")
    assert tokens == model.encode(x, 16000, kbps=2)
    assert (coded.seconds, coded.codebooks, coded.kbps) == (tokens.duration, 4, 2.0)
    assert {total for _, total in seen} == {tokens.duration}
    times = [0.0, *(done for done, _ in seen)]
    assert times[-1] == tokens.duration
    assert len(times) > 3
    assert all(0 < b - a <= 10.25 for a, b in pairwise(times))

    decode_file(lambda name, weights_hash: model, tmp_path / "a.cdc", tmp_path / "b.wav")
    decoded, _ = read_audio(tmp_path / "b.wav")
    np.testing.assert_allclose(decoded, as_wav_holds_it(model.decode(tokens)), atol=4e-5)


def test_a_file_states_its_length_in_the_header_when_it_is_known(
    model: codec.Codec, speech: np.ndarray, tmp_path: Path
) -> None:
    for name in ("a.wav", "a.mp3"):
        with AudioWriter(tmp_path / name, 16000, 1) as writer:
            writer.write(speech[None, :8000])
        coded = encode_file(model, tmp_path / name, tmp_path / "a.cdc")
        assert read_header(tmp_path / "a.cdc").n_samples == round(coded.seconds * 16000)
        assert codec.read(tmp_path / "a.cdc").n_samples == read_audio(tmp_path / name)[0].shape[1]


@settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    n_samples=st.integers(0, 3000),
    rate=st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    channels=st.integers(1, 2),
)
def test_a_stream_of_unknown_length_comes_out_exactly_as_long(
    model: codec.Codec, speech: np.ndarray, tmp_path: Path, n_samples: int, rate: int, channels: int
) -> None:
    x = np.stack([speech[20_000 : 20_000 + n_samples], speech[30_000 : 30_000 + n_samples]])[:channels]
    tokens = model.encode(x, rate, codebooks=2)
    read_end, write_end = os.pipe()
    with open(write_end, "wb") as pipe:
        writer = PageWriter(pipe, header_of(codec.Tokens(**{**vars(tokens), "n_samples": None}), 25))
        writer.push(tokens.codes)
        writer.close(n_samples)
    with open(read_end) as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        decode_file(lambda name, weights_hash: model, "-", tmp_path / "b.wav")
    decoded, found_rate = read_audio(tmp_path / "b.wav")
    assert (decoded.shape, found_rate) == ((channels, n_samples), rate)
    np.testing.assert_allclose(decoded, as_wav_holds_it(model.decode(tokens)), atol=4e-5)


def test_a_length_that_the_frames_do_not_reach_is_an_error(
    model: codec.Codec, speech: np.ndarray, tmp_path: Path
) -> None:
    tokens = model.encode(speech[:8000], 16000)
    for promised in (8000 + 320, 1 << 40):
        codec.write(tmp_path / "a.cdc", codec.Tokens(**{**vars(tokens), "n_samples": promised}))
        with pytest.raises(codec.TokenFileError, match=f"promises {promised} samples"):
            decode_file(lambda name, weights_hash: model, tmp_path / "a.cdc", tmp_path / "b.wav")
    assert not (tmp_path / "b.wav").exists()


def test_another_model_is_refused_before_anything_is_written(
    model: codec.Codec, speech: np.ndarray, tmp_path: Path
) -> None:
    tokens = model.encode(speech[:3200], 16000)
    codec.write(tmp_path / "a.cdc", codec.Tokens(**{**vars(tokens), "model": "another"}))
    with pytest.raises(codec.ModelError, match="another"):
        decode_file(lambda name, weights_hash: model, tmp_path / "a.cdc", tmp_path / "b.wav")
    assert not (tmp_path / "b.wav").exists()
