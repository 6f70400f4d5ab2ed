"""`.ecdc` files coded with EnCodec's language model, by the `encodec` package and by us."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encodec import EncodecModel
from encodec.model import LMModel

from codec.errors import CheckpointError, TokenFileError
from codec.interop import ecdc, ecdc_lm
from tests.interop.peers import audio, official_encodec

compress: Any = importlib.import_module("encodec.compress")


def language_model(name: str) -> LMModel:
    """The package's own class with random weights."""
    torch.manual_seed(5)
    model = ecdc.MODELS[name]
    rate = model.sample_rate / model.hop_length
    return LMModel(model.codebooks, 1024, num_layers=5, dim=200, past_context=int(3.5 * rate)).eval()


@pytest.fixture(scope="module", params=["encodec_24khz", "encodec_48khz"])
def peer(request: pytest.FixtureRequest) -> EncodecModel:
    """A model whose language model has random weights, as those of the package have to be downloaded."""
    model = official_encodec(stereo=request.param == "encodec_48khz")
    lm = language_model(request.param)
    model.__dict__["get_lm_model"] = lambda: lm
    model.set_target_bandwidth(1.5 if model.channels == 1 else 3.0)
    return model


@pytest.fixture(scope="module")
def ours(peer: EncodecModel) -> ecdc_lm.EcdcLanguageModel:
    return ecdc_lm.EcdcLanguageModel(ecdc.MODELS[peer.name], peer.get_lm_model().state_dict())


@pytest.fixture(scope="module")
def theirs(peer: EncodecModel) -> bytes:
    """A short file by the package, of one or two segments."""
    return compress.compress(peer, wave_for(peer, 0.2 if peer.channels == 1 else 1.02), use_lm=True)


def wave_for(peer: EncodecModel, seconds: float) -> torch.Tensor:
    return torch.from_numpy(audio(int(seconds * peer.sample_rate), peer.channels))[0]


def test_files_of_the_encodec_package_are_decoded_and_written_to_the_byte(
    peer: EncodecModel, ours: ecdc_lm.EcdcLanguageModel
) -> None:
    # At 24 kHz longer than the 262 frames that the language model looks back.
    wave = wave_for(peer, 3.6 if peer.channels == 1 else 1.02)
    theirs = compress.compress(peer, wave, use_lm=True)
    found = ecdc.read(io.BytesIO(theirs), ours)
    with torch.no_grad():
        frames = peer.encode(wave[None])
    for segment, (codes, scale) in zip(found.segments, frames, strict=True):
        assert np.array_equal(segment.codes, codes[0].numpy())
        assert segment.scale == (None if scale is None else float(scale))
    file = io.BytesIO()
    ecdc.write(file, found, ours)
    assert file.getvalue() == theirs


def test_our_files_are_decoded_by_the_encodec_package(
    peer: EncodecModel, ours: ecdc_lm.EcdcLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compress.MODELS, peer.name, lambda: peer)
    model, random = ecdc.MODELS[peer.name], np.random.default_rng(0)
    n_samples = 4000 if model.stride is None else 47_521
    segments = tuple(
        ecdc.Segment(
            random.integers(0, 1024, (3, frames)).astype(np.uint16), 0.5 if model.has_scale else None
        )
        for frames in model.frames(n_samples)
    )
    file = io.BytesIO()
    ecdc.write(file, ecdc.EcdcFile(ecdc.EcdcHeader(model, n_samples, 3, True), segments), ours)
    wave, _ = compress.decompress(file.getvalue())
    frames = [
        (
            torch.from_numpy(part.codes.astype(np.int64))[None],
            None if part.scale is None else torch.tensor([part.scale]),
        )
        for part in segments
    ]
    with torch.no_grad():
        assert torch.equal(wave, peer.decode(frames)[0, :, :n_samples])


def test_another_language_model_is_reported(peer: EncodecModel, theirs: bytes) -> None:
    weights = peer.get_lm_model().state_dict()
    weights = {
        name: tensor * 1.5 if name.startswith("linears") else tensor for name, tensor in weights.items()
    }
    other = ecdc_lm.EcdcLanguageModel(ecdc.MODELS[peer.name], weights)
    with pytest.raises(TokenFileError, match="another language model"):
        ecdc.read(io.BytesIO(theirs), other)


def test_a_coded_file_that_is_cut_off_or_goes_on_is_refused(
    ours: ecdc_lm.EcdcLanguageModel, theirs: bytes
) -> None:
    with pytest.raises(TokenFileError, match=r"ends after|cut off"):
        ecdc.read(io.BytesIO(theirs[:-10]), ours)
    with pytest.raises(TokenFileError, match="goes on"):
        ecdc.read(io.BytesIO(theirs + b"\0\0"), ours)


def test_weights_come_from_a_file_and_must_be_the_model_s(tmp_path: Path) -> None:
    weights = language_model("encodec_48khz").state_dict()
    torch.save(weights, tmp_path / "lm.th")
    loaded = ecdc_lm.load(tmp_path / "lm.th", ecdc.MODELS["encodec_48khz"])
    probabilities, _ = loaded.step(None, 2, None)
    assert probabilities.shape == (2, 1024)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"lm\.th.*encodec_24khz.*emb\.16"):
        ecdc_lm.load(tmp_path / "lm.th", ecdc.MODELS["encodec_24khz"])
