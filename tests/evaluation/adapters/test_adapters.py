"""The adapters have the shape that the benchmarks' harnesses expect of what they load.

The harnesses themselves are not packages that can be installed, so their base classes stand here as far as
they are used: what calls what, and with which arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import codec
from codec.errors import ConfigError
from codec.evaluation.adapters import codec_superb, versa
from tests.conftest import SAMPLES

_GENERAL = """
from abc import ABC, abstractmethod
from dataclasses import dataclass

@dataclass
class ExtractedUnit:
    unit: object
    stuff_for_synth: object

class BaseCodec(ABC):
    def __init__(self):
        self.device = "cpu"
        self.sampling_rate = None
        self.setting = None
        self.config()

    @abstractmethod
    def config(self): ...
    @abstractmethod
    def extract_unit(self, data): ...
    @abstractmethod
    def decode_unit(self, stuff_for_synth): ...
"""
_DEFINITION = """
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

class MetricCategory(Enum):
    DEPENDENT = "dependent"

class MetricType(Enum):
    DICT = "dict"

@dataclass
class MetricMetadata:
    name: str
    category: MetricCategory
    metric_type: MetricType
    requires_reference: bool
    requires_text: bool
    gpu_compatible: bool
    auto_install: bool
    dependencies: list
    description: str
    paper_reference: str = None
    implementation_source: str = None

class MetricRegistry:
    def __init__(self):
        self.metrics = {}
    def register(self, metric_class, metadata, aliases=None):
        for name in [metadata.name, *(aliases or [])]:
            self.metrics[name] = metric_class

class BaseMetric(ABC):
    def __init__(self, config=None):
        self.config = config or {}
        self._setup()
    @abstractmethod
    def _setup(self): ...
    @abstractmethod
    def compute(self, predictions, references=None, metadata=None): ...
    @abstractmethod
    def get_metadata(self): ...
"""


@pytest.fixture
def harnesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in (("SoundCodec/base_codec/general", _GENERAL), ("versa/definition", _DEFINITION)):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("SoundCodec", "versa")]:
        del sys.modules[name]


@pytest.mark.usefixtures("harnesses")
def test_codec_superb_gets_units_and_audio(model: codec.Codec, speech: np.ndarray) -> None:
    loaded = codec_superb.adapter(kbps=3)()
    assert loaded.sampling_rate == 16000
    assert loaded.setting == "speech-16k_3kbps"
    x = speech[:20000]
    for array in (x, x[None], torch.from_numpy(x), x.astype(np.float64)):
        found = loaded.extract_unit({"id": "a", "audio": {"array": array, "sampling_rate": 16000}})
        expected = model.encode(x, 16000, kbps=3)
        assert isinstance(found.unit, torch.Tensor)
        assert found.unit.dtype == torch.int64
        np.testing.assert_array_equal(found.unit.numpy(), expected.codes[0])
        decoded = loaded.decode_unit(found.stuff_for_synth)
        np.testing.assert_array_equal(decoded, model.decode(expected)[0])


@pytest.mark.usefixtures("harnesses")
def test_codec_superb_may_give_other_rates_and_channels(speech: np.ndarray) -> None:
    loaded = codec_superb.adapter()()
    stereo = np.stack([speech[:48000], speech[48000:96000]])
    found = loaded.extract_unit({"audio": {"array": stereo, "sampling_rate": 48000}})
    assert found.unit.shape[:2] == (2, 16)
    assert loaded.decode_unit(found.stuff_for_synth).shape == (2, 16000)


@pytest.mark.usefixtures("harnesses")
def test_versa_gets_a_metric_by_name(speech: np.ndarray) -> None:
    from versa.definition import MetricRegistry  # type: ignore[import-not-found]

    registry = MetricRegistry()
    versa.register_codec_distances_metric(registry)
    metric = registry.metrics["codec_distances"]({})
    x = speech[:16000]
    same = metric.compute(x, x, {"sample_rate": 16000})
    assert same == {"mel_distance": 0, "log_spectral": 0, "f0_cents": 0, "voicing": 0}
    noisy = x + 0.01 * np.random.default_rng(0).standard_normal(len(x))
    assert metric.compute(noisy[:15000], x)["mel_distance"] > 0.1
    with pytest.raises(ValueError, match="must be given"):
        metric.compute(x)


def test_versa_gets_lists_of_recordings(tmp_path: Path) -> None:
    originals = [str(SAMPLES / name) for name in ("voice_a.flac", "stereo_44k.wav")]
    lists = versa.resynthesize(originals, str(tmp_path), [6, 0.5])
    assert [Path(path).name for path in lists] == ["reference.scp", "0.5kbps.scp", "6kbps.scp"]
    tables = [dict(line.split(maxsplit=1) for line in Path(path).read_text().splitlines()) for path in lists]
    assert [list(table) for table in tables] == [["000000-voice_a", "000001-stereo_44k"]] * 3
    for original, key in zip(originals, tables[0], strict=True):
        expected = soundfile.info(original)
        for table in tables:
            found = soundfile.info(table[key])
            assert (found.frames, found.samplerate, found.channels) == (
                expected.frames,
                expected.samplerate,
                expected.channels,
            )


def test_a_missing_harness_is_one_clear_sentence() -> None:
    with pytest.raises(ConfigError, match="Codec-SUPERB is not there"):
        codec_superb.adapter()
    with pytest.raises(ConfigError, match="VERSA is not there"):
        versa.codec_distances_class()
