"""Which recordings an input means, under which ids, with which columns."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from codec.errors import AudioError
from codec.scale.items import column_names, digest, shards_of
from codec.scale.listing import list_items


def test_a_folder_gives_its_recordings_by_path_with_their_folders_as_speakers(corpus: Path) -> None:
    items = list_items([str(corpus)])
    assert [item.id for item in items][:2] == ["speaker_0/00", "speaker_0/02"]
    assert len(items) == 24
    assert dict(items[0].columns) == {"speaker": "speaker_0"}
    assert items[0].size > 0


def test_a_pattern_gives_what_matches(corpus: Path) -> None:
    assert [item.id for item in list_items([f"{corpus}/*/1*.wav"])] == [
        "speaker_0/12",
        "speaker_0/18",
        "speaker_1/15",
    ]


def test_manifests_carry_their_columns(corpus: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"path": str(corpus / "speaker_0/00.wav"), "speaker": "ann", "text": "one, two", "age": 31},
        {"path": str(corpus / "speaker_0/23.flac"), "start": 1, "duration": 2.5, "id": "middle"},
        {"path": "missing.wav"},
    ]
    lines = tmp_path / "list.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in rows))
    table = tmp_path / "list.csv"
    table.write_text(
        "path,speaker,text,age,start,duration,id\n"
        f'{rows[0]["path"]},ann,"one, two",31,,,\n{rows[1]["path"]},,,,1,2.5,middle\nmissing.wav,,,,,,\n'
    )
    for manifest in (lines, table):
        found = list_items([str(manifest)])
        assert dict(found[0].columns)["text"] == "one, two"
        assert dict(found[0].columns)["age"] == "31"
        assert (found[1].id, found[1].start, found[1].duration) == ("middle", 1.0, 2.5)
        assert "does not exist" in found[2].error
        assert column_names(found)[:2] == ("speaker", "text")
        assert "age" in column_names(found)


def test_tar_shards_carry_what_stands_beside_a_recording(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "shard-0.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(corpus / "speaker_0/00.wav", "a/x.wav")
        for name, content in (("a/x.json", b'{"speaker": "bob", "n": 2}'), ("a/x.txt", b"hello\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (item,) = list_items([str(path)])
    assert (item.id, item.path) == ("a/x", f"{path}/a/x.wav")
    assert dict(item.columns) == {"speaker": "bob", "n": "2", "text": "hello"}
    cut = tmp_path / "shard-1.tar"
    cut.write_bytes(path.read_bytes()[:700])
    (bad,) = list_items([str(cut)])
    assert "cut short" in bad.error


def test_lists_may_mix_paths_and_urls(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text(f"{corpus}/speaker_0/00.wav\n\nfile://{corpus}/speaker_0/02.flac\n")
    first, second = list_items([str(path)])
    assert first.source == f"{corpus}/speaker_0/00.wav"
    assert second.source == f"file://{corpus}/speaker_0/02.flac"


def test_equal_names_get_ids_of_their_own(corpus: Path) -> None:
    one = str(corpus / "speaker_0/00.wav")
    assert [item.id for item in list_items([one, one, one])] == ["00", "00~2", "00~3"]


def test_shards_depend_on_the_list_alone(corpus: Path) -> None:
    items = list_items([str(corpus)])
    assert [len(shard.items) for shard in shards_of(items, 10)] == [10, 10, 4]
    assert shards_of(items) == shards_of(list_items([str(corpus)]))
    assert digest(items) != digest(items[1:])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "file\nx.wav\n", "'path' is not among them"),
        ("a.csv", "path,start\nx.wav,soon\n", "line 2, column 'start'"),
        ("a.csv", "path\nx.wav,y\n", "more values than columns"),
        ("a.jsonl", "[]\n", "not a JSON object"),
        ("a.jsonl", "{\n", "not JSON"),
        ("a.jsonl", '{"path": 3}\n', "column 'path'"),
        ("a.txt", "\n", "no recording"),
        ("a.csv", "path\n\udcff.wav\n", "not text in UTF-8"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(AudioError, match=reason):
        list_items([str(tmp_path / name)])


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for text in ("missing", "missing/*.wav"):
        with pytest.raises(AudioError, match="missing"):
            list_items([str(tmp_path / text)])
    with pytest.raises(AudioError, match="no recording"):
        list_items([str(tmp_path)])
