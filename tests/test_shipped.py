"""Names and paths of models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import codec
from codec import shipped
from codec.errors import ModelError
from codec.models import store
from tests.networks import SPECTRAL, small_network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "mine.safetensors"
    store.save(small_network(), path)
    return path


def test_the_default_model_ships(model: codec.Codec) -> None:
    assert shipped.names()[0] == shipped.DEFAULT == model.name
    assert codec.load("speech-16k").weights_hash == model.weights_hash


def test_a_file_and_its_folder_load_the_same_model(weights: Path) -> None:
    by_file, by_folder = codec.load(weights), codec.load(str(weights.parent))
    assert by_file.name == SPECTRAL.name
    assert by_file.weights_hash == by_folder.weights_hash


def test_a_folder_must_hold_one_model(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds 0"):
        codec.load(tmp_path)
    shutil.copy(weights, weights.with_name("other.safetensors"))
    with pytest.raises(ModelError, match="holds 2"):
        codec.load(weights.parent)


@pytest.mark.parametrize("name", ["no-such-model", "", "x" * 5000, "a\0b", "../speech-16k"])
def test_unknown_names_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        codec.load(name)


def test_other_files_are_refused(weights: Path) -> None:
    with pytest.raises(ModelError, match="is not a model"):
        codec.load(weights.with_suffix(".json"))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", ""])
def test_devices_that_do_not_exist_are_refused(weights: Path, device: str) -> None:
    with pytest.raises(ModelError, match="cannot be used"):
        codec.load(weights, device=device)
