"""A dataset can be read by what it is made for, and holds the codes of its recordings."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.dataset  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from codec import Codec
from codec.audio import read_audio
from codec.errors import ConfigError
from codec.scale.formats import Format
from codec.sequence.store import TokenStore, open_store
from tests.scale.conftest import contents, tokenize


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> list[TokenStore]:
    folder = tmp_path_factory.mktemp("formats")
    for form in Format:
        tokenize(corpus, folder / form.value, format=form)
    return [open_store(folder / form.value) for form in Format]


def test_all_formats_hold_the_same(stores: list[TokenStore]) -> None:
    first, *others = stores
    assert len(first) == 24
    for store in others:
        assert store.recordings == first.recordings
        assert store.codebook_sizes == first.codebook_sizes
        for index in range(len(first)):
            assert np.array_equal(store.codes(index), first.codes(index))
            assert np.array_equal(store.codes(index, 3, 9), first.codes(index)[:, :, 3:9])


def test_recordings_can_be_decoded(stores: list[TokenStore], model: Codec, corpus: Path) -> None:
    stereo = next(i for i, r in enumerate(stores[0].recordings) if r.shape[0] == 2)
    audio, rate = read_audio(stores[0].recordings[stereo].columns["path"])
    tokens = stores[0].tokens(stereo)
    assert tokens == model.encode(audio, rate, kbps=1.5)
    assert model.decode(tokens).shape == audio.shape


def test_parquet_loads_into_pyarrow_and_duckdb(dataset: Path) -> None:
    table = pyarrow.dataset.dataset(dataset / "data").to_table()
    assert table.schema.field("codes").type == pyarrow.list_(pyarrow.uint16())
    row = table.slice(3, 1).to_pylist()[0]
    assert len(row["codes"]) == np.prod(row["shape"])
    assert {"id", "path", "speaker", "text", "model", "weights_hash"} < set(row)
    assert row["kbps"] == 1.5
    found = duckdb.sql(
        f"select count(*), count(distinct id), bool_and(len(codes) = list_product(shape)) "
        f"from '{dataset}/data/*.parquet'"
    )
    assert found is not None
    assert found.fetchall() == [(24, 24, True)]


def test_the_card_says_what_it_is(dataset: Path) -> None:
    card = json.loads((dataset / "dataset.json").read_text())
    assert card["rows"] == 24
    assert card["codebook_sizes"] == [1024] * 3
    assert card["frame_rate"] == "50/1"
    assert [(dataset / name).is_file() for name in card["files"]] == [True] * 6
    rows = sum(pyarrow.parquet.read_metadata(dataset / name).num_rows for name in card["files"])
    assert rows == card["rows"]


def test_row_groups_change_nothing_but_the_file(
    corpus: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codec.scale.formats.parquet._GROUP_ROWS", 2)
    tokenize(corpus, tmp_path / "out")
    assert contents(tmp_path / "out") != contents(dataset)
    small, usual = open_store(tmp_path / "out"), open_store(dataset)
    assert small.recordings == usual.recordings
    assert all(np.array_equal(small.codes(i), usual.codes(i)) for i in range(24))


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no complete dataset"):
        open_store(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": "tar", "files": ["x"]}')
    with pytest.raises(ConfigError):
        open_store(tmp_path)
    (tmp_path / "dataset.json").write_text("[")
    with pytest.raises(ConfigError, match="damaged"):
        open_store(tmp_path)
