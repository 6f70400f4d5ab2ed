"""Training audio: reproducible segments of whatever is readable."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from codec.errors import AudioError
from codec.training.data import AudioFolder, Segments, ValidationClips, scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two speakers of two groups; of one only clips shorter than a segment."""
    random = np.random.default_rng(0)
    for name, rate, seconds in [
        ("long/a/0.wav", 16000, 3.0),
        ("long/a/1.flac", 44100, 2.0),
        ("short/b/0.wav", 16000, 0.2),
        ("short/b/1.ogg", 16000, 0.15),
        ("short/b/2.wav", 8000, 0.001),
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        channels = 2 if name.endswith("flac") else 1
        soundfile.write(path, 0.2 * random.standard_normal((int(seconds * rate), channels)), rate)
    return tmp_path


def segments(folder: Path, **changes: Any) -> Segments:
    options: dict[str, Any] = {
        "sample_rate": 16000,
        "seconds": 0.5,
        "count": 40,
        "balance": 0.0,
        "speed": 1.1,
        "gain_db": (-6.0, 3.0),
        "seed": 3,
        "cache": False,
    }
    return Segments(scan(folder), **{**options, **changes})


def test_an_item_depends_on_seed_epoch_and_index_alone(folder: Path) -> None:
    first, again = segments(folder), segments(folder)
    backwards = [again[i] for i in reversed(range(40))][::-1]
    for i in range(40):
        assert torch.equal(first[i], backwards[i])
    again.epoch = 1
    other = segments(folder, seed=4)
    for i in range(40):
        assert not torch.equal(first[i], again[i])
        assert not torch.equal(first[i], other[i])
    assert len({first[i].numpy().tobytes() for i in range(40)}) == 40


def test_segments_have_one_length_and_are_filled(folder: Path) -> None:
    made = segments(folder)
    for i in range(40):
        assert made[i].shape == (1, 8000)
        assert made[i].dtype == torch.float32
        assert float(made[i].abs().max()) <= 1
        # Short clips are followed by others, not by silence.
        assert float(made[i][0].unflatten(0, (-1, 1000)).std(dim=1).min()) > 0.02


def test_a_decoded_corpus_gives_the_same_segments(folder: Path) -> None:
    read, cached = segments(folder), segments(folder, cache=True)
    for i in range(40):
        torch.testing.assert_close(read[i], cached[i], rtol=0, atol=3e-4)


def test_groups_are_drawn_by_the_balance(folder: Path) -> None:
    """With balance 0 a group of 0.35 s comes as often as one of 5 s."""
    for balance, share in ((0.0, 0.5), (1.0, 0.066)):
        made = segments(folder, balance=balance)
        probabilities = np.diff(made._probabilities, prepend=0)
        groups = [clip.group for clip in scan(folder)]
        drawn = sum(p for p, group in zip(probabilities, groups, strict=True) if group == "short")
        assert drawn == pytest.approx(share, abs=0.01)


def test_unreadable_files_are_named_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "long" / "bad.wav").write_bytes(b"RIFF but no wave")
    (folder / "long" / "empty.flac").write_bytes(b"")
    (folder / "long" / "notes.txt").write_text("no audio, and not named as such")
    with caplog.at_level(logging.WARNING):
        clips = scan(folder)
    assert len(clips) == 5
    assert "bad.wav" in caplog.text
    assert "empty.flac" in caplog.text
    assert "notes.txt" not in caplog.text


@pytest.mark.parametrize("cache", [False, True])
def test_a_file_that_breaks_later_becomes_silence_and_is_named(
    folder: Path, caplog: pytest.LogCaptureFixture, cache: bool
) -> None:
    clips = scan(folder)
    for clip in clips:
        clip.path.write_bytes(b"broken")
    options: dict[str, Any] = {"balance": 1.0, "speed": 1.0, "gain_db": (0.0, 0.0), "seed": 0}
    with caplog.at_level(logging.WARNING):
        item = Segments(clips, sample_rate=16000, seconds=0.5, count=1, cache=cache, **options)[0]
    assert not item.any()
    assert "cannot be read" in caplog.text


def test_a_folder_without_audio_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="No readable audio"):
        scan(tmp_path)
    with pytest.raises(AudioError, match="not a folder"):
        scan(tmp_path / "none")


def test_validation_clips_are_whole_and_at_the_model_s_rate(folder: Path) -> None:
    clips = ValidationClips(scan(folder), 16000)
    assert [clips[i].shape for i in range(2)] == [(1, 48000), (1, 32000)]


def test_loaders_serve_batches_of_the_epoch(folder: Path) -> None:
    data = AudioFolder(
        str(folder), str(folder), segment=0.25, batch_size=3, batches_per_epoch=4, workers=0, valid_clips=2
    )
    batches = list(data.train_dataloader())
    assert [batch.shape for batch in batches] == [(3, 1, 4000)] * 4
    assert len(list(data.val_dataloader())) == 2
