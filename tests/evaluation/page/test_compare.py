"""One recording through one model at several rates."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import codec.evaluation
from codec.errors import AudioError, ConfigError
from codec.evaluation.page.compare import compare, quick_measures, sensible_kbps
from tests.networks import small_codec


def test_what_is_heard_is_what_each_rate_decodes_to(model: codec.Codec, speech: np.ndarray) -> None:
    audio = speech[None, :16_000]
    report, clip = compare(model, audio, 16000, [6, 1.5], "a.wav")
    tokens = {kbps: model.encode(audio, 16000, kbps=kbps) for kbps in (1.5, 6.0)}
    assert list(clip.decoded) == ["speech-16k 1.5 kbps", "speech-16k 6 kbps"]
    for kbps, heard in zip((1.5, 6.0), clip.decoded.values(), strict=True):
        assert heard == pytest.approx(model.decode(tokens[kbps]), abs=1e-4)
    assert [row.label for row in report.rows] == list(clip.decoded)
    (recording,) = report.recordings
    low, high = recording.measurements
    file = io.BytesIO()
    codec.write(file, tokens[1.5])
    assert low.file_kbps == pytest.approx(8 * len(file.getvalue()) / 1000)
    assert high.metrics["pesq_wb"] > low.metrics["pesq_wb"]
    assert high.metrics["si_sdr"] > low.metrics["si_sdr"]
    assert report.rows[1].metrics["stoi"].mean == high.metrics["stoi"]


def test_sensible_rates_are_those_that_the_model_has(model: codec.Codec) -> None:
    assert sensible_kbps(model) == pytest.approx([0.5, 1, 1.5, 3, 6, 8])
    small = small_codec()  # 6 bits at 200 Hz: 1.2, 2.4, 3.6 and 4.8 kbps
    assert sensible_kbps(small) == pytest.approx([1.2, 2.4, 4.8])


def test_rates_of_equal_codes_count_once() -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, (2, 4000)).astype(np.float32)
    report, clip = compare(small_codec(), audio, 8000, [1.2, 1.3, 2.4], "a.wav")
    assert len(report.rows) == len(clip.decoded) == 2
    assert next(iter(clip.decoded.values())).shape == (2, 4000)


def test_silence_has_rates_but_no_metrics() -> None:
    report, _ = compare(small_codec(), np.zeros((1, 4000), np.float32), 8000, [1.2], "a.wav")
    (measurement,) = report.recordings[0].measurements
    assert measurement.file_kbps > 0
    assert np.isnan(measurement.metrics["pesq_wb"])


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(AudioError, match="no samples"):
        compare(small_codec(), np.zeros((1, 0), np.float32), 8000, [1.2], "a.wav")
    with pytest.raises(ConfigError, match=r"0\.1 kbps is not available"):
        compare(small_codec(), np.zeros((1, 9), np.float32), 8000, [0.1], "a.wav")


def test_without_the_packages_that_measure_there_are_still_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    monkeypatch.delitem(sys.modules, "codec.evaluation.metrics", raising=False)
    monkeypatch.delattr(codec.evaluation, "metrics", raising=False)
    assert quick_measures() == {}
    audio = np.random.default_rng(0).normal(0, 0.1, (1, 4000)).astype(np.float32)
    report, clip = compare(small_codec(), audio, 8000, [1.2, 2.4], "a.wav")
    assert len(clip.decoded) == 2
    assert report.rows[0].metrics == {}
