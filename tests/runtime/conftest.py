"""Small exported models, and the same in PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

import codec
from codec.codec import Codec
from codec.export import export
from codec.models import CodecConfig, rates, store
from tests.models.test_rates import rates_of
from tests.networks import CONFIGS, small_network


def exported(config: CodecConfig, folder: Path) -> Path:
    """The weights of a small model in a folder with its graphs and smaller codebooks."""
    weights = folder / "made" / f"{config.name}.safetensors"
    store.save(small_network(config), weights)
    network, weights_hash = store.load(weights)
    rates.save(rates_of(network, weights_hash), weights.with_suffix(rates.SUFFIX))
    return export(weights, folder / "exported")[0]


@pytest.fixture(scope="session", params=CONFIGS, ids=lambda config: config.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Codec, Codec]:
    """A small model of each kind: as PyTorch runs it, and as onnxruntime does."""
    weights = exported(request.param, tmp_path_factory.mktemp("model"))
    return codec.load(weights), codec.load(weights, runtime="onnx")
