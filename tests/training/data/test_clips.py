"""Finding recordings: what is unreadable is counted, named and left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from codec.errors import AudioError
from codec.training.data.clips import Member, opened, read_stretch, scan, with_channels
from tests.training.data.conftest import MakeAudio


def test_clips_know_their_length_group_and_speaker(folder: Path, make_audio: MakeAudio) -> None:
    make_audio(folder / "loose.wav")
    found = {clip.path.relative_to(folder).as_posix(): clip for clip in scan(folder)}
    assert list(found) == [
        "long/a/0.wav",
        "long/a/1.flac",
        "loose.wav",
        "short/b/0.wav",
        "short/b/1.ogg",
        "short/b/2.wav",
    ]
    clip = found["long/a/1.flac"]
    assert (clip.samples, clip.rate, clip.seconds, clip.group) == (88200, 44100, 2.0, "long")
    assert clip.speaker == found["long/a/0.wav"].speaker != found["short/b/0.wav"].speaker
    assert found["loose.wav"].group == ""


def test_unreadable_files_are_counted_named_and_left_out(
    folder: Path, warnings: pytest.LogCaptureFixture
) -> None:
    (folder / "long" / "bad.wav").write_bytes(b"RIFF but no wave")
    (folder / "long" / "empty.flac").write_bytes(b"")
    (folder / "long" / "notes.txt").write_text("no audio, and not named as such")
    (folder / "long" / "._0.wav").write_bytes(b"hidden")
    assert len(scan(folder)) == 5
    assert "bad.wav" in warnings.text
    assert "empty.flac" in warnings.text
    assert "2 left out" in warnings.text
    assert "notes.txt" not in warnings.text
    assert "._0.wav" not in warnings.text


def test_of_many_bad_files_the_first_are_named(folder: Path, warnings: pytest.LogCaptureFixture) -> None:
    for i in range(30):
        (folder / f"bad{i:02}.wav").write_bytes(b"")
    assert len(scan(folder)) == 5
    assert len(warnings.records) == 21
    assert "30 left out, not readable as audio (10 more than are named here)" in warnings.text


def test_a_folder_without_audio_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="No readable audio"):
        scan(tmp_path)
    with pytest.raises(AudioError, match="not a folder"):
        scan(tmp_path / "none")


def test_a_stretch_is_what_lies_there(folder: Path) -> None:
    clip = scan(folder)[0]
    whole, _ = soundfile.read(clip.path, dtype="float32")
    np.testing.assert_array_equal(read_stretch(clip, 1000, 500, 1)[0], whole[1000:1500])
    assert read_stretch(clip, clip.samples - 7, 500, 1).shape == (1, 7)


def test_a_file_in_a_file_reads_and_seeks_alike(folder: Path, tmp_path: Path) -> None:
    for name in ("long/a/1.flac", "short/b/1.ogg", "long/a/0.wav"):
        data = (folder / name).read_bytes()
        joined = tmp_path / "joined.bin"
        joined.write_bytes(b"x" * 777 + data + b"y" * 333)
        with opened(folder / name) as alone, opened(joined, Member(name, 777, len(data))) as inside:
            assert inside.frames == alone.frames
            for first in (100, 0, 700):
                alone.seek(first)
                inside.seek(first)
                np.testing.assert_array_equal(inside.read(200), alone.read(200))


def test_samples_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    x = np.zeros(1000, np.float32)
    x[500] = np.nan
    soundfile.write(tmp_path / "a.wav", x, 16000, subtype="FLOAT")
    (clip,) = scan(tmp_path)
    with pytest.raises(AudioError, match="no numbers"):
        read_stretch(clip, 0, 1000, 1)


def test_channels_are_mixed_repeated_or_chosen() -> None:
    x = np.array([[1, 2], [3, 6], [9, 9]], np.float32)
    np.testing.assert_array_equal(with_channels(x[:2], 1), [[2, 4]])
    np.testing.assert_array_equal(with_channels(x[:1], 2), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(with_channels(x, 2), x[:2])


def test_linked_folders_are_searched_once_even_in_circles(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "corpus"
    elsewhere.mkdir()
    (elsewhere / "linked").symlink_to(folder / "long")
    assert len(scan(elsewhere)) == 2
    (folder / "long" / "circle").symlink_to(elsewhere)
    assert len(scan(elsewhere)) == 2
