"""The codec of arrays: exact lengths, every rate, batches that equal single calls, clear refusals."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.codec import Codec
from codec.errors import AudioError, ConfigError, ModelError
from codec.evaluation.metrics import si_sdr
from codec.tokens import Tokens
from tests.networks import SPECTRAL, small_codec

RATES = [8000, 11025, 16000, 22050, 24000, 44100, 48000]


@pytest.fixture(scope="module")
def small() -> Codec:
    return small_codec()


@pytest.fixture(scope="module")
def tokens(model: Codec, speech: np.ndarray) -> Tokens:
    return model.encode(speech[:80000], 16000)


def test_importing_codec_does_not_import_torch() -> None:
    code = "import sys, codec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_length_comes_back_exactly(small: Codec) -> None:
    x = np.random.default_rng(0).standard_normal(2000).astype(np.float32) * 0.1
    frames = -(-(np.arange(2001) + SPECTRAL.hop_length) // SPECTRAL.hop_length)
    batches = (range(first, min(first + 100, 2001)) for first in range(0, 2001, 100))
    encoded = [
        small.encode_batch([x[:length] for length in batch], SPECTRAL.sample_rate) for batch in batches
    ]
    for length, made in enumerate(chain.from_iterable(encoded)):
        assert made.n_samples == length
        assert made.frames == (frames[length] if length else 0)
        assert small.decode(made).shape == (1, length)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_comes_back_exactly(model: Codec, small: Codec, speech: np.ndarray, rate: int) -> None:
    lengths = [0, 1, 2, 3, 319, 320, 321, 1000, *np.random.default_rng(rate).integers(0, 9000, 12).tolist()]
    for codec_ in (model, small):
        for length in lengths:
            made = codec_.encode(speech[20000 : 20000 + length], rate)
            assert (made.sample_rate, made.n_samples) == (rate, length)
            audio = codec_.decode(made)
            assert audio.shape == (1, length)
            assert audio.dtype == np.float32
            assert np.isfinite(audio).all()


def test_decoded_audio_is_aligned_with_the_recording(model: Codec, speech: np.ndarray) -> None:
    x = speech[: 4 * 16000]
    audio = model.decode(model.encode(x, 16000))[0]
    likeness = [float(np.dot(x[200:-200], np.roll(audio, shift)[200:-200])) for shift in range(-100, 101)]
    assert int(np.argmax(likeness)) == 100


def test_channels_are_coded_by_themselves(model: Codec, speech: np.ndarray) -> None:
    left, right = speech[:16000], speech[30000:46000]
    both = model.encode(np.stack([left, right]), 16000)
    for i, alone in enumerate((left, right)):
        assert np.array_equal(both.codes[i], model.encode(alone, 16000).codes[0])


def test_integers_are_the_floats_that_they_stand_for(model: Codec, speech: np.ndarray) -> None:
    pcm = (speech[:16000] * 32767).astype(np.int16)
    assert model.encode(pcm, 16000) == model.encode(pcm / 32768, 16000)


def test_a_batch_gives_each_recording_the_codes_it_gets_alone(model: Codec, speech: np.ndarray) -> None:
    stereo = np.stack([speech[:30000], speech[50000:80000]])
    clips = [speech[:20000], stereo, speech[:0], speech[:1], speech[5000:100000], speech[:320], speech[:321]]
    for rate in (16000, 22050):
        batch = model.encode_batch(clips, rate, kbps=3)
        assert batch == [model.encode(clip, rate, kbps=3) for clip in clips]


def test_batches_without_audio_are_empty(model: Codec) -> None:
    assert model.encode_batch([], 16000) == []
    (empty,) = model.encode_batch([np.zeros(0, np.float32)], 16000)
    assert empty == model.encode(np.zeros(0, np.float32), 16000)


def test_a_lower_rate_can_be_read_from_a_higher_one(model: Codec, tokens: Tokens, speech: np.ndarray) -> None:
    """The search looks as far ahead as there are codes, so a recording encoded at that rate is no worse.

    At 0.5 kbps noise has no waveform that SI-SDR could compare.
    """
    for kbps in (0.5, 1.5, 3.2, 6, 8):
        made = [model.encode(speech[:80000], 16000, kbps=kbps), tokens.at(kbps=kbps)]
        assert made[0].codebook_sizes == made[1].codebook_sizes
        assert made[0].kbps == made[1].kbps == min(kbps, int(2 * kbps) / 2)
        decoded = [model.decode(part) for part in made]
        assert decoded[0].shape == decoded[1].shape == (1, 80000)
        own, read = (si_sdr(speech[:80000], x[0]) for x in decoded)
        assert read - (0.3 if kbps > 1 else 1.0) < own < read + 1.5
    assert made[0] == made[1]
    assert model.encode(speech[:8000], 16000, codebooks=5).codebooks == 5


@pytest.mark.parametrize("rate", [16000, 11025, 44100])
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (1.0, 2.5), (2.32, 2.36), (3.68, None)])
def test_a_slice_is_the_same_stretch_of_the_whole(
    model: Codec, speech: np.ndarray, tmp_path: Path, rate: int, start: float, end: float | None
) -> None:
    whole = model.encode(speech[: 5 * rate], rate)
    codec.write(tmp_path / "a.cdc", whole, page_frames=30)
    part = codec.read(tmp_path / "a.cdc", start=start, end=end)
    made, full = model.decode(part), model.decode(whole)
    stop = full.shape[1] if end is None else round(end * rate)
    expected = full[:, round(start * rate) : stop]
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)


def test_metadata_travels_with_the_tokens(model: Codec, speech: np.ndarray) -> None:
    assert model.encode(speech[:100], 16000, metadata={"title": "a"}).metadata == {"title": "a"}


def test_tokens_of_another_model_are_refused_by_name(model: Codec, tokens: Tokens) -> None:
    for changed in (replace(tokens, weights_hash="0123456789abcdef"), replace(tokens, model="other")):
        with pytest.raises(ModelError) as error:
            model.decode(changed)
        for name in (changed.model, changed.weights_hash, model.name, model.weights_hash):
            assert name in str(error.value)


def test_codebooks_that_are_not_the_models_are_refused(model: Codec, tokens: Tokens) -> None:
    with pytest.raises(ModelError, match="not its own"):
        model.decode(replace(tokens, codebook_sizes=(2048,) * 16))
    with pytest.raises(ModelError, match="not its own"):
        model.decode(replace(tokens, frame_rate=tokens.frame_rate * 2))


def test_a_length_that_the_frames_do_not_hold_is_refused_without_memory(model: Codec, tokens: Tokens) -> None:
    for crafted in (replace(tokens, n_samples=1 << 46), replace(tokens, skip=1 << 46)):
        tracemalloc.start()
        with pytest.raises(ModelError, match="cut short"):
            model.decode(crafted)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6


def test_tokens_of_unknown_length_decode_to_what_their_frames_hold(model: Codec, tokens: Tokens) -> None:
    audio = model.decode(replace(tokens, n_samples=None))
    assert audio.shape == (1, tokens.frames * model.hop_length - model.hop_length)
    np.testing.assert_array_equal(audio[:, :80000], model.decode(tokens)[:, : audio.shape[1]])


def test_bad_audio_is_refused(model: Codec) -> None:
    for bad in (
        np.array([0.1, np.nan]),
        np.array([np.inf]),
        np.zeros((9, 5)),
        np.zeros((0, 5)),
        np.zeros((1, 1, 1)),
    ):
        with pytest.raises(AudioError):
            model.encode(bad, 16000)
        with pytest.raises(AudioError):
            model.encode_batch([np.zeros(5, np.float32), bad], 16000)


@pytest.mark.parametrize("rate", [0, -1, 10**7])
def test_impossible_rates_are_refused(model: Codec, rate: int) -> None:
    for call in (lambda: model.encode(np.zeros(5), rate), lambda: model.encode_batch([np.zeros(5)], rate)):
        with pytest.raises(AudioError, match="sample rate"):
            call()


def test_bitrates_that_the_model_lacks_are_refused(model: Codec) -> None:
    for kbps in (0.1, 9.0):
        with pytest.raises(ConfigError, match="not available"):
            model.encode(np.zeros(5), 16000, kbps=kbps)
    with pytest.raises(ConfigError):
        model.encode(np.zeros(5), 16000, codebooks=17)


def test_info_tells_the_facts(model: Codec) -> None:
    info = model.info()
    assert info["name"] == model.name == "speech-16k"
    assert (info["sample_rate"], info["frame_rate"], info["codebooks"]) == (16000, 50.0, 16)
    # Every number of whole codebooks, the last of which may be one of four smaller ones.
    expected = [0.5 * n + bits * 0.05 for n in range(16) for bits in (6, 7, 8, 9, 10)]
    assert info["kbps"] == pytest.approx(expected)
    assert info["latency_ms"] == pytest.approx(40)
    assert 2 * info["parameters"] < 16 * 2**20
