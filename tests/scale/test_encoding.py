"""Rows have exactly the codes of `Codec.encode`, however recordings are read and put together."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codec import Codec
from codec.audio import read_audio
from codec.scale import encoding
from codec.scale.encoding import Failure, Rate, Row, encode_items
from codec.scale.listing import list_items
from codec.scale.operator import load_model
from tests.scale.conftest import ONNX


def rows(model: Codec, *inputs: str) -> list[Row]:
    found = list(encode_items(model, list_items(inputs), Rate(kbps=1.5)))
    assert all(isinstance(row, Row) for row in found), found
    return [row for row in found if isinstance(row, Row)]


def test_every_recording_has_the_codes_that_it_has_alone(model: Codec, corpus: Path) -> None:
    found = rows(load_model(ONNX), str(corpus))
    assert [row.item.id for row in found] == [item.id for item in list_items([str(corpus)])]
    for row in found:
        audio, rate = read_audio(row.item.source)
        assert (row.n_samples, row.sample_rate) == (audio.shape[1], rate)
        # By PyTorch, each by itself.
        assert np.array_equal(row.codes, model.encode(audio, rate, kbps=1.5).codes)


@pytest.mark.parametrize("limit", [0.1, 1e9])
def test_what_is_put_together_changes_no_code(
    corpus: Path, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = rows(load_model(ONNX), str(corpus))
    monkeypatch.setattr(encoding, "_SHORT_SECONDS", limit)
    monkeypatch.setattr(encoding, "_BATCH_SECONDS", limit)
    monkeypatch.setattr(encoding, "_WINDOW_SAMPLES", int(limit * 16000))
    for a, b in zip(usual, rows(load_model(ONNX), str(corpus)), strict=True):
        assert np.array_equal(a.codes, b.codes)


def test_a_stretch_has_the_codes_of_its_samples(corpus: Path, tmp_path: Path) -> None:
    long = corpus / "speaker_1/23.flac"
    manifest = tmp_path / "list.jsonl"
    stretches = [(0.5, 2.0), (12.5, 60.0), (0, 12.9)]
    manifest.write_text(
        "\n".join(json.dumps({"path": str(long), "start": a, "duration": b}) for a, b in stretches)
    )
    audio, rate = read_audio(long)
    model = load_model(ONNX)
    for row, (start, duration) in zip(rows(model, str(manifest)), stretches, strict=True):
        first = round(start * rate)
        own = audio[:, first : first + round(duration * rate)]
        assert row.n_samples == own.shape[1]
        assert np.array_equal(row.codes, model.encode(own, rate, kbps=1.5).codes)


def test_archives_and_urls_give_the_same_codes(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "speaker_0/02.flac"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(path, "02.flac")
    usual, archived, fetched = rows(load_model(ONNX), str(path), str(tmp_path / "a.tar"), f"file://{path}")
    assert np.array_equal(usual.codes, archived.codes)
    assert np.array_equal(usual.codes, fetched.codes)


def test_every_kind_of_bad_recording_fails_alone(corpus: Path, tmp_path: Path) -> None:
    whole = (corpus / "speaker_0/02.flac").read_bytes()
    good = tmp_path / "good.flac"
    good.write_bytes(whole)
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(3000))
    nan_wav = io.BytesIO()
    soundfile.write(nan_wav, np.array([0.0, np.nan, 0.0] * 400), 16000, format="WAV", subtype="FLOAT")
    (tmp_path / "nan.wav").write_bytes(nan_wav.getvalue())
    soundfile.write(tmp_path / "silent.wav", np.zeros(0), 16000)
    items = list_items([str(tmp_path), f"file://{tmp_path}/gone.wav"])
    found = list(encode_items(load_model(ONNX), items, Rate(codebooks=1)))
    assert [type(row) for row in found] == [Failure, Failure, Row, Failure, Failure, Failure, Failure]
    for failure in found:
        if isinstance(failure, Failure):
            assert failure.item.path in failure.reason
            assert failure.reason.endswith(".")


def test_a_recording_that_would_fill_the_memory_is_refused(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_MAX_CODES", 1000)
    items = list_items([str(corpus / "speaker_1/23.flac")])
    (found,) = encode_items(load_model(ONNX), items, Rate())
    assert isinstance(found, Failure)
    assert "cut it into parts" in found.reason
