"""`codec cut` and `codec cat`: files of files, which decode to exactly the samples that were asked for."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.audio import read_audio
from tests.cli.conftest import MakeSpeech, Run

# Kernels round differently for short runs of frames than for long ones; a 16-bit sample may tip to the next.
STEP = 1.01 / 32768


@pytest.fixture
def token_file(run: Run, make_speech: MakeSpeech) -> Path:
    path = make_speech("a.wav", 10.5)
    run("encode", path, "--kbps", "3")
    return path.with_suffix(".cdc")


def audio_of(run: Run, tokens: Path, *options: str) -> np.ndarray:
    wav = tokens.with_suffix(".decoded.wav")
    assert run("decode", tokens, "-o", wav, "--force", *options).code == 0
    return read_audio(wav)[0]


@pytest.mark.parametrize(("start", "end"), [("0", "1.2345"), ("3.21", "4"), ("7.5", "10.5"), ("8", "99")])
def test_a_cut_file_decodes_to_the_samples_of_the_stretch(
    run: Run, token_file: Path, tmp_path: Path, start: str, end: str
) -> None:
    cut = tmp_path / "b.cdc"
    result = run("cut", token_file, "--start", start, "--end", end, "-o", cut)
    assert (result.code, result.out, result.err) == (0, "", "")
    expected = audio_of(run, token_file, "--start", start, "--end", end)
    got = audio_of(run, cut)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=STEP)
    # ... which are those of the whole recording.
    first = round(float(start) * 16000)
    whole = audio_of(run, token_file)[:, first : first + got.shape[1]]
    np.testing.assert_allclose(got, whole, rtol=0, atol=STEP)


@pytest.mark.parametrize("rate", [44100, 11025])
def test_cuts_are_exact_at_other_rates(run: Run, make_speech: MakeSpeech, tmp_path: Path, rate: int) -> None:
    source = make_speech("b.wav", 3.6, rate=rate, channels=2)
    run("encode", source, "--kbps", "1.5")
    run("cut", source.with_suffix(".cdc"), "--start", "2.5", "-o", tmp_path / "c.cdc")
    whole, part = (audio_of(run, path) for path in (source.with_suffix(".cdc"), tmp_path / "c.cdc"))
    assert part.shape == (2, whole.shape[1] - round(2.5 * rate))
    np.testing.assert_allclose(part, whole[:, round(2.5 * rate) :], rtol=0, atol=STEP)


def test_pieces_joined_again_are_the_recording(run: Run, token_file: Path, tmp_path: Path) -> None:
    pieces = [tmp_path / f"{k}.cdc" for k in range(3)]
    for piece, (start, end) in zip(pieces, [("0", "2.2222"), ("2.2222", "6"), ("6", "99")], strict=True):
        run("cut", token_file, "--start", start, "--end", end, "-o", piece)
    result = run("cat", *pieces, "-o", tmp_path / "whole.cdc")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert codec.read(tmp_path / "whole.cdc") == codec.read(token_file)


def test_joined_recordings_follow_each_other(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    names = ("one.wav", "two.wav")
    for name, seconds in zip(names, (2.007, 1.5), strict=True):
        run("encode", make_speech(name, seconds), "--kbps", "6")
    one, two = (tmp_path / name.replace("wav", "cdc") for name in names)
    run("cat", one, two, "-o", tmp_path / "both.cdc")
    both, first, second = (audio_of(run, path) for path in (tmp_path / "both.cdc", one, two))
    assert both.shape[1] == first.shape[1] + second.shape[1]
    np.testing.assert_allclose(both[:, :31_600], first[:, :31_600], rtol=0, atol=STEP)
    # The second begins on the border of a frame, 112 samples early, and has left the first behind after 37
    # frames.
    start = 100 * 320
    np.testing.assert_allclose(
        both[:, start + 12_160 : start + 24_000], second[:, 12_160:24_000], rtol=0, atol=STEP
    )


def test_pipes(
    run: Run,
    token_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("cut", token_file, "--start", "2", "--end", "4", "-o", tmp_path / "b.cdc")
    data, expected = token_file.read_bytes(), (tmp_path / "b.cdc").read_bytes()
    for arguments, wanted in (
        (("cut", "-", "--start", "2", "--end", "4", "-o", "-"), expected),
        (("cat", "-", "-o", "-"), data),
    ):
        output = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(output))
            assert codec.cli.main(list(arguments)) == 0
            assert output.getvalue() == wanted


def test_one_line_says_what_is_wrong(run: Run, token_file: Path, tmp_path: Path) -> None:
    run("trim", token_file, "--codebooks", "2", "-o", tmp_path / "small.cdc")
    out = tmp_path / "x.cdc"
    cut_off = tmp_path / "cut_off.cdc"
    cut_off.write_bytes(token_file.read_bytes()[:-9])
    for arguments, text in (
        (("cat", token_file, tmp_path / "small.cdc", "-o", out), "small.cdc: it has 2 codebook(s), but"),
        (("cat", token_file, cut_off, "-o", out), "cut_off.cdc: the token file is cut off"),
        (("cat", token_file, tmp_path / "none.cdc", "-o", out), "none.cdc cannot be opened"),
        (
            ("cut", token_file, "--start", "11", "-o", out),
            "a.cdc: start is 11 s but the recording is only 10.5 s",
        ),
        (
            ("cut", token_file, "--start", "2", "--end", "1", "-o", out),
            "start (2 s) must be before end (1 s)",
        ),
        (("cut", token_file, "--start", "2", "-o", tmp_path / "no" / "x.cdc"), "x.cdc: "),
    ):
        result = run(*arguments)
        assert result.code == 1
        assert text in result.complaint
        assert not out.exists()


def test_outputs_are_replaced_only_by_force(run: Run, token_file: Path, tmp_path: Path) -> None:
    before = token_file.read_bytes()
    for arguments in (("cut", token_file, "--start", "2"), ("cat", token_file, token_file)):
        assert "--force" in run(*arguments, "-o", token_file).complaint
        assert token_file.read_bytes() == before
    assert run("cut", token_file, "--start", "2", "-o", token_file, "--force").code == 0
    assert codec.read(token_file).n_samples == 136_000


def test_usage_errors(run: Run, token_file: Path, tmp_path: Path) -> None:
    assert run("cut", token_file, "-o", tmp_path / "b.cdc").code == 2
    assert run("cat", "-", "-", "-o", tmp_path / "b.cdc").code == 2
