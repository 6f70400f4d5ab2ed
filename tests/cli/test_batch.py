"""Many inputs: where outputs go, what is not overwritten, and what scripts read."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import MakeSpeech, Run


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_outputs_lie_beside_their_inputs(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    make_speech("a.wav", 0.1)
    make_speech("b.flac", 0.1)
    assert run("encode", tmp_path / "a.wav", tmp_path / "b.flac").code == 0
    assert names(tmp_path) == {"a.wav", "b.flac", "a.cdc", "b.cdc"}


def test_a_folder_is_searched_and_its_structure_mirrored(
    run: Run, make_speech: MakeSpeech, tmp_path: Path
) -> None:
    make_speech("in/a.wav", 0.1)
    make_speech("in/deep/er/b.WAV.wav", 0.1)
    make_speech("in/.hidden.wav", 0.1)
    (tmp_path / "in/notes.txt").write_text("no recording")
    assert run("encode", tmp_path / "in", "-o", tmp_path / "out").code == 0
    assert names(tmp_path / "out") == {"a.cdc", "deep/er/b.WAV.cdc"}


def test_quoted_patterns_are_expanded(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    for name in ("a1.wav", "a2.wav", "b1.wav"):
        make_speech(name, 0.1)
    assert run("encode", tmp_path / "a*.wav", "-o", f"{tmp_path}/out/").code == 0
    assert names(tmp_path / "out") == {"a1.cdc", "a2.cdc"}
    result = run("encode", tmp_path / "c*.wav")
    assert (result.code, result.complaint) == (1, f"codec: {tmp_path}/c*.wav: no file matches this pattern.")


def test_a_file_whose_name_is_also_a_pattern_is_that_file(run: Run, make_speech: MakeSpeech) -> None:
    path = make_speech("take[1].wav", 0.1)
    assert run("encode", path).code == 0
    assert path.with_suffix(".cdc").exists()


def test_what_exists_is_replaced_only_by_force(run: Run, make_speech: MakeSpeech) -> None:
    path = make_speech("a.wav", 0.1)
    path.with_suffix(".cdc").write_bytes(b"precious")
    result = run("encode", path)
    assert result.code == 1
    assert "exists already" in result.complaint
    assert path.with_suffix(".cdc").read_bytes() == b"precious"
    assert run("encode", path, "--force").code == 0
    assert path.with_suffix(".cdc").read_bytes() != b"precious"
    result = run("decode", path.with_suffix(".cdc"))
    assert result.code == 1
    assert "a.wav exists already" in result.complaint


def test_an_input_is_not_replaced_even_by_force(run: Run, make_speech: MakeSpeech) -> None:
    path = make_speech("a.wav", 0.1)
    before = path.read_bytes()
    result = run("encode", path, "-o", path, "--force")
    assert result.code == 1
    assert "would replace the input" in result.complaint
    assert path.read_bytes() == before


def test_two_inputs_never_share_an_output(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    wav, flac = make_speech("a.wav", 0.1), make_speech("a.flac", 0.2)
    result = run("encode", wav, flac, "--json", "--force")
    assert result.code == 1
    assert result.complaint.startswith(f"codec: {flac}: {tmp_path}/a.cdc is already the output of {wav}")
    assert [item.get("seconds") for item in result.json] == [0.1, None]


def test_json_is_one_object_a_file(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    good = make_speech("a.wav", 0.5, channels=2)
    result = run("encode", good, tmp_path / "missing.wav", "--json", "--kbps", "6")
    first, second = result.json
    assert first["input"] == str(good)
    assert first["output"] == str(tmp_path / "a.cdc")
    assert (first["kbps"], first["codebooks"], first["channels"], first["seconds"]) == (6.0, 12, 2, 0.5)
    assert first["bytes"] == (tmp_path / "a.cdc").stat().st_size
    assert first["x_realtime"] > 0
    assert "does not exist" in second["error"]
    decoded = run("decode", tmp_path / "a.cdc", "--json", "-o", tmp_path / "b.wav").json[0]
    assert decoded["bytes"] == (tmp_path / "b.wav").stat().st_size


def test_wrong_usage_exits_with_2(run: Run, make_speech: MakeSpeech, tmp_path: Path) -> None:
    path = make_speech("a.wav", 0.1)
    (tmp_path / "file").touch()
    for arguments in (
        ("frobnicate",),
        ("encode",),
        ("encode", path, "--kbps", "99"),
        ("encode", path, "--kbps", "6", "--codebooks", "3"),
        ("encode", path, "--codebooks", "0"),
        ("encode", path, "--metadata", "no pair"),
        ("encode", path, "--raw", "16000:one:s16le"),
        ("encode", path, "-", "-o", "-"),
        ("encode", path, path, "-o", "-"),
        ("encode", path, path, "-o", tmp_path / "file"),
        ("encode", path, "-o", "-", "--json"),
        ("decode", path, "--format", "wma"),
        ("decode", path, "-o", tmp_path / "b.wav", "--format", "flac"),
        ("trim", path, "-o", "b.cdc"),
        ("trim", path, "--kbps", "3"),
        ("eval", path, "--kbps", "high"),
    ):
        result = run(*arguments)
        assert result.code == 2, arguments
        assert result.err.startswith("Usage: codec"), arguments
        assert "Traceback" not in result.err
    assert names(tmp_path) == {"a.wav", "file"}
