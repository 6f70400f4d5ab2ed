"""`codec convert`, and `info` and `decode` of files of other codecs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from encodec import EncodecModel

import codec
from codec.audio import read_audio
from codec.interop import dac_file, ecdc
from tests.cli.conftest import Run
from tests.interop import peers
from tests.interop.test_dac_file import some as some_dac
from tests.interop.test_ecdc import some as some_ecdc
from tests.interop.test_ecdc_lm import language_model

STEP = 1.01 / 32768  # of the 16 bits that decoded files have


@pytest.fixture(scope="module", params=["encodec_24khz", "encodec_48khz"])
def peer(request: pytest.FixtureRequest) -> EncodecModel:
    return peers.official_encodec(stereo=request.param == "encodec_48khz")


@pytest.fixture
def weights(peer: EncodecModel, tmp_path: Path) -> Path:
    torch.save(peer.state_dict(), tmp_path / f"{peer.name}.th")
    return tmp_path / f"{peer.name}.th"


@pytest.mark.parametrize("name", ecdc.MODELS)
def test_an_ecdc_file_comes_back_to_the_byte(run: Run, tmp_path: Path, name: str) -> None:
    source, tokens, back = (tmp_path / file for file in ("a.ecdc", "a.cdc", "b.ecdc"))
    ecdc.write(source, some_ecdc(name, 150_001, 5))
    for result in (run("convert", source, tokens), run("convert", tokens, back)):
        assert (result.code, result.out, result.err) == (0, "", "")
    assert back.read_bytes() == source.read_bytes()
    found = codec.read(tokens)
    assert (found.model, found.weights_hash, found.n_samples, found.codebooks) == (name, "", 150_001, 5)


@pytest.mark.parametrize("padding", [True, False])
def test_a_dac_file_comes_back_to_the_byte(run: Run, tmp_path: Path, padding: bool) -> None:
    source, tokens, back = (tmp_path / file for file in ("a.dac", "a.cdc", "b.dac"))
    content = some_dac() if padding else some_dac(frames=288, padding=False, chunk_length=72)
    dac_file.write(source, content)
    assert run("convert", source, tokens).code == 0
    assert run("convert", tokens, back).code == 0
    assert back.read_bytes() == source.read_bytes()


def test_a_coded_ecdc_file_needs_the_language_model_and_comes_back_with_it(run: Run, tmp_path: Path) -> None:
    torch.save(language_model("encodec_24khz").state_dict(), tmp_path / "lm.th")
    packed, coded, tokens, back = (tmp_path / name for name in ("a.ecdc", "b.ecdc", "b.cdc", "c.ecdc"))
    ecdc.write(packed, some_ecdc(n_samples=3000, codebooks=2))
    assert run("convert", packed, coded, "--lm", tmp_path / "lm.th").code == 0
    assert coded.read_bytes() != packed.read_bytes()
    assert ecdc.read_header(coded).coded
    refused = run("convert", coded, tokens)
    assert refused.code == 1
    assert "encodec_lm_24khz" in refused.complaint
    assert not tokens.exists()
    assert run("convert", coded, tokens, "--lm", tmp_path / "lm.th").code == 0
    assert run("convert", tokens, back).code == 0
    assert back.read_bytes() == packed.read_bytes()
    facts = run("info", coded, packed, "--json").json
    assert [item["entropy_coding"] for item in facts] == ["EnCodec's language model", None]
    assert [item["checked"] for item in facts] == [False, True]


def test_an_ecdc_file_decodes_with_its_imported_model(
    run: Run, peer: EncodecModel, weights: Path, tmp_path: Path
) -> None:
    content = some_ecdc(peer.name, 60_000, 4)
    ecdc.write(tmp_path / "a.ecdc", content)
    with torch.no_grad():
        expected = peer.decode(
            [
                (
                    torch.from_numpy(part.codes.astype(np.int64))[None],
                    None if part.scale is None else torch.tensor([part.scale]),
                )
                for part in content.segments
            ]
        )[0, :, :60_000].numpy()
    loud = np.abs(expected).max()
    assert run("decode", tmp_path / "a.ecdc", "--model", weights, "-o", tmp_path / "a.wav").code == 0
    heard, rate = read_audio(tmp_path / "a.wav")
    assert rate == peer.sample_rate
    np.testing.assert_allclose(heard, np.clip(expected, -1, 1), rtol=0, atol=STEP + 1e-5 * loud)
    # A stretch, and the same by way of a .cdc file, with and without the hash of the weights.
    for number, options in enumerate(([], ["--model", weights])):
        tokens = tmp_path / f"{number}.cdc"
        assert run("convert", tmp_path / "a.ecdc", tokens, *options).code == 0
        assert (codec.read(tokens).weights_hash != "") == (number == 1)
        wav = tmp_path / f"{number}.wav"
        command = ("decode", tokens, "--model", weights, "-o", wav, "--start", "0.5", "--end", "1")
        assert run(*command).code == 0
        part = slice(rate // 2, rate)
        np.testing.assert_allclose(read_audio(wav)[0], heard[:, part], rtol=0, atol=2 * STEP)


def test_a_dac_file_decodes_with_its_imported_model(run: Run, tmp_path: Path) -> None:
    peer = peers.hugging_face_dac(sampling_rate=44100, codebook_size=1024, n_codebooks=9)
    peer.save_pretrained(tmp_path / "model")
    source = tmp_path / "a.dac"
    dac_file.write(source, some_dac(frames=288, padding=False, chunk_length=72))
    assert run("convert", source, tmp_path / "a.cdc", "--model", tmp_path / "model").code == 0
    for tokens, wav in ((source, "a.wav"), (tmp_path / "a.cdc", "b.wav")):
        result = run("decode", tokens, "--model", tmp_path / "model", "-o", tmp_path / wav)
        assert (result.code, result.err) == (0, "")
    other = replace(codec.read(tmp_path / "a.cdc"), weights_hash="f" * 16)
    codec.write(tmp_path / "other.cdc", other)
    refused = run("decode", tmp_path / "other.cdc", "--model", tmp_path / "model")
    assert refused.code == 1
    assert "made by model dac_44khz (ffffffffffffffff)" in refused.complaint
    audio, rate = read_audio(tmp_path / "a.wav")
    assert (audio.shape, rate) == ((2, 88_200), 44_100)
    assert np.array_equal(audio, read_audio(tmp_path / "b.wav")[0])
    command = ("decode", source, "--model", tmp_path / "model", "-o", tmp_path / "c.wav")
    assert run(*command, "--start", "0.25", "--end", "1.5", "--codebooks", "3").code == 0
    assert read_audio(tmp_path / "c.wav")[0].shape == (2, 55_125)


def test_files_of_other_codecs_need_a_model_to_decode(run: Run, tmp_path: Path) -> None:
    ecdc.write(tmp_path / "a.ecdc", some_ecdc(n_samples=3000))
    result = run("decode", tmp_path / "a.ecdc")
    assert result.code == 1
    assert "made by model encodec_24khz (no hash)" in result.complaint
    assert "--model" in result.complaint
    wrong = run("decode", tmp_path / "a.ecdc", "--model", "speech-16k")
    assert wrong.code == 1
    assert "frame rate is not its own" in wrong.complaint


def test_what_another_file_has_no_place_for_is_said(run: Run, tmp_path: Path) -> None:
    tokens = codec.read(_converted(run, tmp_path))
    # 16,000 Hz are 24,000 Hz to the model, so that the frames are as many.
    told = replace(tokens, sample_rate=16_000, n_samples=2_000, weights_hash="0" * 16, metadata={"who": "me"})
    codec.write(tmp_path / "told.cdc", told)
    result = run("convert", tmp_path / "told.cdc", tmp_path / "b.ecdc")
    assert result.code == 0
    lines = result.err.splitlines()
    assert [line.partition("no place for ")[2] for line in lines] == [
        "the recording's own sample rate of 16000 Hz.",
        "the hash of the model's weights.",
        "the metadata who.",
    ]
    assert ecdc.read(tmp_path / "b.ecdc").header.n_samples == 3000


def test_conversions_that_cannot_be_are_refused(run: Run, tmp_path: Path) -> None:
    tokens = _converted(run, tmp_path)
    for target, reason in (
        ("b.wav", "no token file by its name"),
        ("b.dac", "how loud"),
        ("a.cdc", "exists already"),
    ):
        result = run("convert", tokens, tmp_path / target)
        assert result.code == 1
        assert reason in result.complaint
    codec.write(tmp_path / "ours.cdc", codec.load().encode(np.zeros(100, np.float32), 16_000))
    result = run("convert", tmp_path / "ours.cdc", tmp_path / "b.ecdc")
    assert "encodec_24khz or encodec_48khz, not of speech-16k" in result.complaint
    run("cut", tokens, "--start", "0.01", "-o", tmp_path / "cut.cdc")
    assert "part of one" in run("convert", tmp_path / "cut.cdc", tmp_path / "b.ecdc").complaint
    assert not (tmp_path / "b.ecdc").exists()


def test_info_says_what_files_hold_and_finds_damage(run: Run, tmp_path: Path) -> None:
    ecdc.write(tmp_path / "a.ecdc", some_ecdc())
    dac_file.write(tmp_path / "a.dac", some_dac())
    packed, dac = run("info", tmp_path / "a.ecdc", tmp_path / "a.dac", "--json").json
    assert (packed["model"], packed["samples"], packed["frames"], packed["kbps"]) == (
        "encodec_24khz",
        48_000,
        150,
        6.0,
    )
    assert (dac["model"], dac["channels"], dac["frames"], dac["input_db"]) == ("dac_44khz", 2, 173, [-20.25])
    text = run("info", tmp_path / "a.ecdc", tmp_path / "a.dac").out
    assert "EnCodec's .ecdc" in text
    assert "86.1328 frames/s" in text
    for name in ("a.ecdc", "a.dac"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-5])
        result = run("info", path)
        assert result.code == 1
        assert len(result.err.splitlines()) == 1


def _converted(run: Run, tmp_path: Path) -> Path:
    """Tokens that came from an .ecdc file of 3000 samples."""
    ecdc.write(tmp_path / "a.ecdc", some_ecdc(n_samples=3000))
    assert run("convert", tmp_path / "a.ecdc", tmp_path / "a.cdc").code == 0
    return tmp_path / "a.cdc"
