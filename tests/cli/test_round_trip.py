"""`codec encode` then `codec decode`: recordings come back as long, at their rate, with their channels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import codec
from codec.audio import read_audio
from tests.cli.conftest import MakeSpeech, Run
from tests.conftest import SAMPLES


def same_shape(a: Path, b: Path) -> bool:
    x, y = read_audio(a), read_audio(b)
    return (x[0].shape, x[1]) == (y[0].shape, y[1])


def test_every_sample_comes_back_with_equal_length_rate_and_channels(run: Run, tmp_path: Path) -> None:
    assert run("encode", SAMPLES, "-o", tmp_path / "tokens").code == 0
    assert run("decode", tmp_path / "tokens", "-o", tmp_path / "audio").code == 0
    recordings = [path for path in SAMPLES.iterdir() if path.suffix in (".wav", ".flac")]
    assert len(recordings) == 5
    for path in recordings:
        assert same_shape(path, tmp_path / "audio" / f"{path.stem}.wav")


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("a.wav", 8000, 1, None),
        ("a.wav", 48000, 2, None),
        ("a.wav", 16000, 1, "PCM_24"),
        ("a.wav", 22050, 3, "FLOAT"),
        ("a.flac", 44100, 1, None),
        ("a.ogg", 24000, 2, None),
        ("a.mp3", 16000, 1, None),
    ],
)
def test_other_rates_widths_and_formats(
    run: Run,
    make_speech: MakeSpeech,
    tmp_path: Path,
    name: str,
    rate: int,
    channels: int,
    subtype: str | None,
) -> None:
    path = make_speech(name, 0.7, rate, channels, subtype)
    assert run("encode", path, "--kbps", "2").code == 0
    assert run("decode", path.with_suffix(".cdc"), "-o", tmp_path / "out.wav").code == 0
    assert same_shape(path, tmp_path / "out.wav")


@pytest.mark.parametrize("n_samples", [0, 1, 319, 320, 321])
def test_the_shortest_recordings(run: Run, make_speech: MakeSpeech, tmp_path: Path, n_samples: int) -> None:
    path = make_speech("a.wav", n_samples / 16000)
    assert run("encode", path).code == 0
    assert run("decode", path.with_suffix(".cdc"), "-o", tmp_path / "out.wav").code == 0
    assert read_audio(tmp_path / "out.wav")[0].shape == (1, n_samples)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3"])
def test_format_chooses_what_decoding_writes(run: Run, make_speech: MakeSpeech, kind: str) -> None:
    path = make_speech("a.wav")
    run("encode", path)
    assert run("decode", path.with_suffix(".cdc"), "--format", kind).code == 0
    assert soundfile.info(path.with_suffix(f".{kind}")).format in ("FLAC", "OGG", "MP3")


def test_the_tokens_are_those_of_the_python_call(
    run: Run, make_speech: MakeSpeech, model: codec.Codec
) -> None:
    path = make_speech("a.wav", 1.5, rate=44100)
    run("encode", path, "--kbps", "3", "--metadata", "title=One = two", "--metadata", "by=me")
    audio, rate = read_audio(path)
    expected = model.encode(audio, rate, kbps=3, metadata={"title": "One = two", "by": "me"})
    assert codec.read(path.with_suffix(".cdc")) == expected


def test_a_lower_bitrate_and_a_stretch_can_be_decoded(
    run: Run, make_speech: MakeSpeech, model: codec.Codec, tmp_path: Path
) -> None:
    path = make_speech("a.wav", 3.0)
    run("encode", path)
    tokens = path.with_suffix(".cdc")
    options = ("--kbps", "1.5", "--start", "1", "--end", "2.25")
    assert run("decode", tokens, *options, "-o", tmp_path / "b.wav").code == 0
    expected = model.decode(codec.read(tokens, start=1, end=2.25).at(kbps=1.5))
    decoded, _ = read_audio(tmp_path / "b.wav")
    assert decoded.shape == expected.shape == (1, 20000)
    np.testing.assert_allclose(decoded, np.clip(expected, -1, 1), atol=1e-4)


def test_trim_keeps_the_first_codebooks(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    path = make_speech("a.wav")
    run("encode", path, "-o", tmp_path / "high.cdc")
    (tmp_path / "low.cdc").write_bytes(b"there already")
    assert run("trim", tmp_path / "high.cdc", "-o", tmp_path / "trimmed.cdc", "--kbps", "1.5").code == 0
    assert codec.read(tmp_path / "trimmed.cdc") == codec.read(tmp_path / "high.cdc").at(kbps=1.5)
    assert run("trim", tmp_path / "high.cdc", "-o", tmp_path / "low.cdc", "--kbps", "1").code == 1
    assert run("trim", tmp_path / "high.cdc", "-o", tmp_path / "low.cdc", "--kbps", "1", "--force").code == 0
    assert codec.read(tmp_path / "low.cdc").codebooks == 2


def test_a_model_can_be_given_by_its_path(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    from codec import shipped

    for suffix in (".safetensors", ".json"):
        shutil.copy(shipped.resolve(None).with_suffix(suffix), tmp_path / f"mine{suffix}")
    path = make_speech("a.wav")
    weights = tmp_path / "mine.safetensors"
    assert run("encode", path, "--model", weights).code == 0
    decode = ("decode", path.with_suffix(".cdc"), "--runtime", "torch")  # the copy has no graphs
    assert run(*decode, "--model", weights, "-o", tmp_path / "b.wav").code == 0
    assert run(*decode, "-o", tmp_path / "c.wav").code == 0
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
