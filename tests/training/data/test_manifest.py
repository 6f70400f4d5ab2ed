"""Manifests: stretches of recordings by line, and errors that name the line and the column."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codec.errors import AudioError
from codec.training.data import Manifest, SegmentConfig
from codec.training.data.clips import read_stretch
from codec.training.data.manifest import read_manifest, read_rows

HEAD = "path,start,duration,split,speaker,group\n"


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_lines_are_stretches_of_files_beside_the_manifest(folder: Path) -> None:
    path = write(
        folder,
        HEAD
        + "long/a/0.wav,1,0.5,train,anna,books\n"
        + "long/a/0.wav,,,valid,,\n"
        + f"{folder}/long/a/1.flac,1.5,9,,,\n",
    )
    splits = read_manifest(path)
    assert set(splits) == {"train", "valid"}
    first, rest = splits["train"]
    assert (first.start, first.samples, first.speaker, first.group) == (16000, 8000, "anna", "books")
    whole, _ = soundfile.read(folder / "long/a/0.wav", dtype="float32")
    np.testing.assert_array_equal(read_stretch(first, 100, 8000, 1)[0], whole[16100:24000])
    assert (rest.start, rest.seconds, rest.speaker) == (66150, 0.5, str(folder / "long/a"))
    assert (splits["valid"][0].start, splits["valid"][0].samples) == (0, 48000)


def test_jsonl_says_the_same_as_csv(folder: Path) -> None:
    csv_file = write(
        folder, "path,start,duration,split,note\nlong/a/0.wav,1,0.5,valid,x\nlong/a/1.flac,,,,\n"
    )
    lines = [
        {"path": "long/a/0.wav", "start": 1, "duration": 0.5, "split": "valid", "note": [1]},
        {"path": "long/a/1.flac", "start": None},
    ]
    jsonl = write(folder, "\n".join(json.dumps(line) for line in lines) + "\n\n", "list.jsonl")
    assert read_manifest(jsonl) == read_manifest(csv_file)


def test_a_byte_order_mark_and_quoted_names_are_read(folder: Path, make_audio) -> None:
    make_audio(folder / 'a, "b".wav')
    path = write(folder, '\ufeffpath,start\r\n"a, ""b"".wav",0\r\n')
    assert read_manifest(path)["train"][0].path == folder / 'a, "b".wav'


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("long/a/0.wav,abc,,train,,", "start"),
        ("long/a/0.wav,-1,,train,,", "start"),
        ("long/a/0.wav,nan,,train,,", "start"),
        ("long/a/0.wav,3.5,,train,,", "start"),
        ("long/a/0.wav,0,0,train,,", "duration"),
        ("long/a/0.wav,0,1 s,train,,", "duration"),
        (",0,1,train,,", "path"),
    ],
)
def test_wrong_values_are_named_by_line_and_column(folder: Path, row: str, column: str) -> None:
    path = write(folder, HEAD + "long/a/0.wav,,,,,\n" + row + "\n")
    with pytest.raises(AudioError, match=f"list.csv, line 3, column '{column}'"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"path": "a.wav"}\n{"path": \n', "line 2: not JSON"),
        ('{"path": "a.wav"}\n["a.wav"]\n', "line 2: not a JSON object"),
        ('{"path": "a.wav", "start": true}\n', "line 1, column 'start'"),
        ('{"path": ["a.wav"]}\n', "line 1, column 'path'"),
        ('{"start": 1}\n', "line 1, column 'path'"),
    ],
)
def test_wrong_jsonl_is_named_by_line(folder: Path, text: str, complaint: str) -> None:
    with pytest.raises(AudioError, match=complaint):
        read_rows(write(folder, text, "list.jsonl"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: a column 'path' is missing"),
        ("file,start\na.wav,0\n", "line 1: a column 'path' is missing"),
        ("path,start\na.wav,0,7\n", "line 2: more values than columns"),
        ('path\n"a.wav"x\n', "line 2: not valid CSV"),
    ],
)
def test_wrong_csv_is_named_by_line(folder: Path, text: str, complaint: str) -> None:
    with pytest.raises(AudioError, match=complaint):
        read_rows(write(folder, text))


def test_what_is_no_manifest_is_an_error(folder: Path) -> None:
    with pytest.raises(AudioError, match=r"\.csv or \.jsonl"):
        read_rows(folder / "long/a/0.wav")
    with pytest.raises(AudioError, match="cannot be read"):
        read_rows(folder / "none.csv")
    (folder / "latin.csv").write_bytes(b"path\n\xe9.wav\n")
    with pytest.raises(AudioError, match="UTF-8"):
        read_rows(folder / "latin.csv")


def test_unreadable_recordings_are_named_and_left_out(
    folder: Path, warnings: pytest.LogCaptureFixture
) -> None:
    path = write(folder, "path\nlong/a/0.wav\nnone.wav\nnone.wav\n")
    assert len(read_manifest(path)["train"]) == 1
    assert "none.wav" in warnings.text
    assert "1 left out" in warnings.text


def test_the_module_trains_and_validates_by_the_column_split(folder: Path) -> None:
    path = write(folder, "path,split\nlong/a/0.wav,train\nlong/a/1.flac,valid\nshort/b/0.wav,test\n")
    data = Manifest(str(path), segments=SegmentConfig(seconds=0.5, workers=0))
    train, valid = data.clips
    assert [clip.path.name for clip in train] == ["0.wav"]
    assert [clip.path.name for clip in valid] == ["1.flac"]
    with pytest.raises(AudioError, match="no readable recording with the split 'train'"):
        Manifest(str(write(folder, "path,split\nlong/a/0.wav,valid\n"))).setup("fit")
