"""Exported folders that are damaged or put together wrongly say so in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codec
from codec.errors import CodecError, ConfigError, ModelError
from codec.export import export
from codec.models import store
from codec.quantize import EuclideanConfig, GroupedConfig, GumbelConfig, ResidualConfig, SplitConfig
from tests.networks import SEANET, SPECTRAL, small_network
from tests.runtime.conftest import exported


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(SEANET, tmp_path_factory.mktemp("whole")).parent


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def run(folder: Path) -> None:
    model = codec.load(folder, runtime="onnx")
    model.decode(model.encode(0.1 * np.random.default_rng(0).standard_normal(4000), 8000))


def manifest_of(folder: Path) -> Path:
    return folder / "small-seanet.onnx.json"


def test_a_model_without_graphs_says_how_to_make_them(tmp_path: Path) -> None:
    store.save(small_network(), tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="make them with codec export"):
        codec.load(tmp_path, runtime="onnx")


@pytest.mark.parametrize(
    "name",
    [
        "small-seanet.encoder.onnx",
        "small-seanet.decoder.onnx",
        "small-seanet.encoder64.onnx",
        "small-seanet.codebooks.npz",
        "small-seanet.safetensors",
        "small-seanet.json",
        "small-seanet.onnx.json",
    ],
)
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_damaged_file_is_a_model_error(folder: Path, name: str, damage: str) -> None:
    everything = folder / "small-seanet.onnx.json"
    # A bound so wide that every frame is unsure, and every graph needed.
    everything.write_text(re.sub(r'"rounding": [^,]+', '"rounding": 1e9', everything.read_text()))
    path = folder / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    with pytest.raises(ModelError):
        run(folder)


def test_graphs_of_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    other = replace(SEANET, sample_rate=16000)
    store.save(small_network(other), folder / "small-seanet.safetensors")
    with pytest.raises(ModelError, match="of other weights"):
        run(folder)


def change(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda plain: plain.__setitem__(key, value)


def change_fact(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda plain: plain["facts"].__setitem__(key, value)


@pytest.mark.parametrize(
    "edit",
    [
        change("format", 99),
        change("graphs", {}),
        change("history", -1),
        change("history", 1 << 40),
        change("codebooks", ["x"]),
        change("equals", []),
        change("equals", [[[0, 64]]] * 4),
        change("typical_norm", "large"),
        change("begins", [0]),
        change("begins", [0, 1, 1, 1]),
        change_fact("lead", 0),
        change_fact("codebook_sizes", []),
        change_fact("codebook_sizes", [64, 64, 64, 32]),
        change_fact("hop_length", 0),
        change_fact("weights_hash", "0" * 16),
        lambda plain: plain["graphs"]["decoder"].update(file="../decoder.onnx"),
        lambda plain: plain["graphs"]["decoder"].update(states=[[3, 3]]),
        lambda plain: plain.pop("facts"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_a_model_error(
    folder: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    path = manifest_of(folder)
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(ModelError):
        run(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"format": 1}'])
def test_a_manifest_that_is_no_manifest_is_a_model_error(folder: Path, text: str) -> None:
    manifest_of(folder).write_text(text)
    with pytest.raises(ModelError):
        run(folder)


@pytest.mark.parametrize(
    ("quantizer", "said"),
    [
        (
            SplitConfig(
                dim=6,
                semantic=ResidualConfig(n_codebooks=1, codebook_size=16),
                acoustic=ResidualConfig(n_codebooks=2, codebook_size=16, beam=2),
            ),
            "beam",
        ),
        (ResidualConfig(n_codebooks=2, codebook_size=16, lookup=GumbelConfig()), "GumbelStage"),
        (
            GroupedConfig(
                groups=2,
                each=ResidualConfig(n_codebooks=2, codebook_size=16, lookup=EuclideanConfig()),
            ),
            "only residual quantizers",
        ),
    ],
    ids=["beam", "gumbel", "grouped"],
)
def test_what_has_no_onnx_form_is_refused_by_name(tmp_path: Path, quantizer: Any, said: str) -> None:
    weights = tmp_path / "made" / "small.safetensors"
    store.save(small_network(replace(SPECTRAL, quantizer=quantizer)), weights)
    with pytest.raises(ModelError, match=said):
        export(weights, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_the_export_goes_to_no_folder_of_another_model(folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "other" / "small-seanet.safetensors"
    store.save(small_network(replace(SEANET, sample_rate=16000)), weights)
    with pytest.raises(ModelError, match="another model"):
        export(weights, folder)


def test_runtimes_and_devices_that_do_not_exist_are_configuration_errors(folder: Path) -> None:
    with pytest.raises(ConfigError, match="runtime must be"):
        codec.load(folder, runtime="jax")  # type: ignore[arg-type]
    with pytest.raises(CodecError, match="computes on the CPU"):
        codec.load(folder, runtime="onnx", device="cuda")
