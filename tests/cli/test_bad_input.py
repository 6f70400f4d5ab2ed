"""Whatever is wrong with an input or an output: one clear line, exit 1, no partial file, the rest done."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import codec
from tests.cli.conftest import MakeSpeech, Run


def make_bad(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.wav"
    tone = np.sin(np.arange(1600) / 10).astype(np.float32)
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is no recording, whatever its name says.\n" * 50)
    elif kind in ("nan", "inf"):
        tone[800] = float(kind)
        soundfile.write(path, tone, 16000, subtype="FLOAT")
    elif kind == "nine_channels":
        soundfile.write(path, np.stack([tone] * 9, axis=1), 16000)
    elif kind == "cut":
        soundfile.write(path, tone, 16000)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "folder_without_recordings":
        path.mkdir()
    return path  # "missing" stays so


BAD = {
    "missing": "does not exist",
    "empty": "is empty",
    "text": "not a recording",
    "nan": "NaN or infinite at 0.050 s",
    "inf": "NaN or infinite at 0.050 s",
    "nine_channels": "has 9 channels",
    "cut": "cut short",
    "folder_without_recordings": "holds no recordings",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_recordings(run: Run, make_speech: MakeSpeech, tmp_path: Path, kind: str) -> None:
    bad, good = make_bad(kind, tmp_path), make_speech("good.wav", 0.1)
    result = run("encode", bad, good, "-o", tmp_path / "out")
    assert result.code == 1
    assert result.complaint.startswith(f"codec: {bad}: ")
    assert BAD[kind] in result.complaint
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.cdc"]


@pytest.fixture
def token_file(run: Run, make_speech: MakeSpeech) -> Path:
    path = make_speech("speech.wav", 0.5)
    run("encode", path, "--kbps", "1")
    return path.with_suffix(".cdc")


def test_a_token_file_cut_at_any_byte(run: Run, token_file: Path, tmp_path: Path) -> None:
    whole = token_file.read_bytes()
    cut = tmp_path / "cut.cdc"
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        result = run("info", cut)
        assert result.code == 1
        assert result.complaint.startswith(f"codec: {cut}: ")
        if size % 8 == 0:
            result = run("decode", cut, "-o", tmp_path / "out.wav")
            assert result.code == 1
            assert result.complaint.startswith(f"codec: {cut}: ")
    assert {path.name for path in tmp_path.iterdir()} == {"speech.wav", "speech.cdc", "cut.cdc"}


def test_a_token_file_with_any_byte_flipped(run: Run, token_file: Path, tmp_path: Path) -> None:
    whole = token_file.read_bytes()
    flipped = tmp_path / "flipped.cdc"
    for at in range(len(whole)):
        flipped.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert run("info", flipped).complaint.startswith(f"codec: {flipped}: ")
        if at % 8 == 0:
            result = run("decode", flipped, "-o", tmp_path / "out.wav")
            assert result.code == 1
            assert result.complaint.startswith(f"codec: {flipped}: ")
    assert {path.name for path in tmp_path.iterdir()} == {"speech.wav", "speech.cdc", "flipped.cdc"}


def test_damage_can_be_concealed(run: Run, token_file: Path, tmp_path: Path) -> None:
    data = bytearray(token_file.read_bytes())
    data[len(data) // 2] ^= 1
    token_file.write_bytes(data)
    result = run("decode", token_file, "--conceal", "-o", tmp_path / "out.wav")
    assert result.code == 0
    assert result.complaint.startswith("codec: warning: ")
    assert "damaged" in result.complaint
    assert soundfile.info(tmp_path / "out.wav").frames == 8000


def test_a_whole_page_of_a_cut_file_can_be_concealed(run: Run, token_file: Path, tmp_path: Path) -> None:
    token_file.write_bytes(token_file.read_bytes()[:-1])
    result = run("decode", token_file, "--conceal", "-o", tmp_path / "out.wav")
    assert result.code == 0
    assert soundfile.info(tmp_path / "out.wav").frames == 8000


def test_tokens_of_another_model_name_both_models(run: Run, token_file: Path, model: codec.Codec) -> None:
    tokens = codec.read(token_file)
    other = token_file.with_name("other.cdc")
    codec.write(other, replace(tokens, weights_hash="0123456789abcdef"))
    complaint = run("decode", other).complaint
    assert "0123456789abcdef" in complaint
    assert model.weights_hash in complaint
    codec.write(other, replace(tokens, model="music-48k"))
    complaint = run("decode", other).complaint
    assert "music-48k" in complaint
    assert model.name in complaint
    assert not other.with_suffix(".wav").exists()


def test_an_unknown_model_or_device(run: Run, make_speech: MakeSpeech) -> None:
    path = make_speech("a.wav", 0.1)
    assert "no model 'nosuch'" in run("encode", path, "--model", "nosuch").complaint
    assert "'abacus' cannot be used" in run("encode", path, "--device", "abacus").complaint
    assert not path.with_suffix(".cdc").exists()


def test_unwritable_outputs(run: Run, make_speech: MakeSpeech, token_file: Path, tmp_path: Path) -> None:
    path = make_speech("a.wav", 0.1)
    (tmp_path / "file").touch()
    for command, source in (("encode", path), ("decode", token_file)):
        for target in (tmp_path / "file/x.wav", Path("/dev/full"), Path("/proc/x.wav")):
            result = run(command, source, "-o", target)
            assert result.code == 1, (command, target)
            assert result.complaint.startswith(f"codec: {source}: "), (command, target)
    result = run("trim", token_file, "--kbps", "0.5", "-o", "/dev/full")
    assert result.code == 1
    assert "space" in result.complaint


def test_a_full_disk_leaves_nothing(make_speech: MakeSpeech, token_file: Path, tmp_path: Path) -> None:
    path = make_speech("long.wav", 5.0)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    for arguments in (
        ["encode", path, "-o", tmp_path / "x.cdc"],
        ["decode", token_file, "-o", tmp_path / "x.wav"],
    ):
        program = [
            sys.executable,
            "-c",
            "import sys; from codec.cli import main; sys.exit(main())",
            *map(str, arguments),
        ]
        done = subprocess.run(program, capture_output=True, text=True, preexec_fn=small_files)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "too large" in line
    assert {item.name for item in tmp_path.iterdir()} == {"long.wav", "speech.wav", "speech.cdc"}


def test_names_cannot_break_the_line(run: Run, tmp_path: Path) -> None:
    assert run("encode", f"{tmp_path}/two\nlines\x1b31m.wav").complaint.endswith(
        "two\\nlines\\x1b31m.wav: this file does not exist."
    )
