"""Tar shards: read in place, damaged ones counted and skipped."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import torch

from codec.errors import AudioError
from codec.training.data import SegmentConfig, Segments, Shards
from codec.training.data.clips import scan
from codec.training.data.shards import read_shards, shard_paths

CONFIG = SegmentConfig(seconds=0.5, batch_size=2, batches_per_epoch=2, workers=0)


def pack(path: Path, files: dict[str, bytes], mode: str = "w:") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def shards(folder: Path, tmp_path: Path) -> Path:
    """Three shards with one recording each of the folder, and what describes them."""
    for i, name in enumerate(("long/a/0.wav", "long/a/1.flac", "short/b/1.ogg")):
        suffix = Path(name).suffix
        facts = json.dumps({"speaker": f"s{i}", "group": "g", "text": "words"}).encode()
        pack(
            tmp_path / f"train-{i:03}.tar",
            {f"x/{i}.json": facts, f"x/{i}{suffix}": (folder / name).read_bytes(), f"x/{i}.txt": b"words"},
        )
    return tmp_path


def test_segments_of_shards_are_those_of_the_files(shards: Path) -> None:
    """Random places inside a tar are read as inside the files that were packed."""
    inside = read_shards(f"{shards}/train-*.tar")
    plain = [clip for clip in scan(shards) if clip.path.name in ("0.wav", "1.flac", "1.ogg")]
    plain = [clip for clip in plain if clip.path.parent.parent.name == "long" or clip.path.suffix == ".ogg"]
    assert [(c.samples, c.rate) for c in inside] == [(c.samples, c.rate) for c in plain]
    for packed, alone in zip(inside[:2], plain[:2], strict=True):
        made = [Segments([clip], CONFIG, sample_rate=16000, count=8) for clip in (packed, alone)]
        assert all(torch.equal(made[0][i], made[1][i]) for i in range(8))


def test_speakers_and_groups_come_from_the_json_beside(shards: Path, folder: Path) -> None:
    clips = read_shards(f"{shards}/train-*.tar")
    assert [(clip.speaker, clip.group) for clip in clips] == [("s0", "g"), ("s1", "g"), ("s2", "g")]
    data = (folder / "long/a/0.wav").read_bytes()
    plain = pack(shards / "plain.tar", {"anna/1.wav": data, "bob/1.seg.wav": data, "bob/1.json": b"[broken"})
    first, second = read_shards(str(plain))
    assert first.speaker != second.speaker
    assert first.group == second.group == ""


@pytest.mark.parametrize(
    "pattern", ["train-*.tar", "train-{000..002}.tar", "train-00{0,1,2}.tar", "tr*-{000..002}.tar"]
)
def test_patterns_name_shards(shards: Path, pattern: str) -> None:
    assert [path.name for path in shard_paths(f"{shards}/{pattern}")] == [
        f"train-00{i}.tar" for i in range(3)
    ]


def test_braces_count_and_combine(tmp_path: Path) -> None:
    for name in ("a8", "a9", "a10", "b8"):
        (tmp_path / name).touch()
    assert [p.name for p in shard_paths(f"{tmp_path}/{{a,b}}{{8..10}}")] == [
        "a8",
        "a9",
        "a10",
        "b8",
        "b9",
        "b10",
    ]


@pytest.mark.parametrize("damage", ["cut", "header", "compressed", "no tar", "missing", "empty"])
def test_damaged_shards_are_counted_named_and_skipped(
    shards: Path, warnings: pytest.LogCaptureFixture, damage: str
) -> None:
    path = shards / "train-001.tar"
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "header":
        path.write_bytes(data[:1024] + b"\xff" * 512 + data[1536:])
    elif damage == "compressed":
        pack(path, {"x/1.wav": b"abc"}, "w:gz")
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else b"no tar" * 1000)
    clips = read_shards(f"{shards}/train-{{000..002}}.tar")
    assert [clip.speaker for clip in clips] == ["s0", "s2"]
    assert "train-001.tar" in warnings.text
    assert "1 left out, a damaged shard" in warnings.text


def test_an_unreadable_recording_in_a_good_shard_is_named(
    shards: Path, folder: Path, warnings: pytest.LogCaptureFixture
) -> None:
    good = (folder / "long/a/0.wav").read_bytes()
    path = pack(shards / "mixed.tar", {"a.wav": b"no audio", "b.wav": good})
    assert len(read_shards(str(path))) == 1
    assert "mixed.tar/a.wav" in warnings.text


def test_nothing_to_read_is_an_error(shards: Path) -> None:
    with pytest.raises(AudioError, match="No shard matches"):
        read_shards(f"{shards}/none-*.tar")
    with pytest.raises(AudioError, match="mount the store"):
        read_shards("s3://bucket/train-{000..002}.tar")
    with pytest.raises(AudioError, match="No readable audio"):
        read_shards(str(pack(shards / "text.tar", {"a.txt": b"words"})))
    for path in shards.glob("train-*.tar"):
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(AudioError, match="None of the 3 shards"):
        read_shards(f"{shards}/train-*.tar")


def test_the_module_holds_out_or_takes_other_shards(shards: Path) -> None:
    data = Shards(f"{shards}/train-00[01].tar", f"{shards}/train-002.tar", segments=CONFIG)
    assert ([c.speaker for c in data.clips[0]], [c.speaker for c in data.clips[1]]) == (["s0", "s1"], ["s2"])
    assert next(iter(data.train_dataloader())).shape == (2, 1, 8000)
    held = Shards(f"{shards}/train-*.tar", segments=CONFIG)
    train, valid = held.clips
    assert len(train) == 2
    assert len(valid) == 1
