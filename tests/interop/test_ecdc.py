"""`.ecdc` files: packed by the `encodec` package and by us, and damaged ones."""

from __future__ import annotations

import importlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encodec import EncodecModel

from codec.errors import ConfigError, TokenFileError
from codec.interop import ecdc
from tests.interop.peers import audio, official_encodec

# The package has a function of the module's name.
compress: Any = importlib.import_module("encodec.compress")

HEADER = bytes.fromhex("454344430000000039") + b'{"m": "encodec_24khz", "al": 48000, "nc": 8, "lm": false}'


@pytest.fixture(scope="module", params=["encodec_24khz", "encodec_48khz"])
def peer(request: pytest.FixtureRequest) -> EncodecModel:
    return official_encodec(stereo=request.param == "encodec_48khz")


def some(name: str = "encodec_24khz", n_samples: int = 48_000, codebooks: int = 8) -> ecdc.EcdcFile:
    """A file of random codes."""
    random = np.random.default_rng(n_samples)
    model = ecdc.MODELS[name]
    segments = tuple(
        ecdc.Segment(
            random.integers(0, 1024, (codebooks, frames)).astype(np.uint16),
            float(np.float32(random.random())) if model.has_scale else None,
        )
        for frames in model.frames(n_samples)
    )
    return ecdc.EcdcFile(ecdc.EcdcHeader(model, n_samples, codebooks, False), segments)


def data_of(content: ecdc.EcdcFile) -> bytes:
    file = io.BytesIO()
    ecdc.write(file, content)
    return file.getvalue()


def with_json(text: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">4sBI", b"ECDC", 0, len(text)) + text + body


def test_the_header_is_the_known_one() -> None:
    assert data_of(some()).startswith(HEADER)


@pytest.mark.parametrize(("bandwidth", "seconds"), [(6.0, 2.0), (3.0, 0.313), (24.0, 1.02)])
def test_files_of_the_encodec_package_are_read_and_written_to_the_byte(
    peer: EncodecModel, bandwidth: float, seconds: float
) -> None:
    peer.set_target_bandwidth(bandwidth)
    wave = torch.from_numpy(audio(int(seconds * peer.sample_rate), peer.channels))[0]
    file = io.BytesIO()
    compress.compress_to_file(peer, wave, file, use_lm=False)
    found = ecdc.read(io.BytesIO(file.getvalue()))
    with torch.no_grad():
        frames = peer.encode(wave[None])
    assert found.header.n_samples == wave.shape[1]
    assert len(found.segments) == len(frames)
    for segment, (codes, scale) in zip(found.segments, frames, strict=True):
        assert np.array_equal(segment.codes, codes[0].numpy())
        assert segment.scale == (None if scale is None else float(scale))
    assert data_of(found) == file.getvalue()


def test_our_files_are_decoded_by_the_encodec_package(
    peer: EncodecModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its own models need to be downloaded.
    monkeypatch.setitem(compress.MODELS, peer.name, lambda: peer)
    content = some(peer.name, 100_000, 4)
    wave, sample_rate = compress.decompress(data_of(content))
    frames = [
        (
            torch.from_numpy(part.codes.astype(np.int64))[None],
            None if part.scale is None else torch.tensor([part.scale]),
        )
        for part in content.segments
    ]
    with torch.no_grad():
        assert torch.equal(wave, peer.decode(frames)[0, :, :100_000])
    assert sample_rate == peer.sample_rate


def test_sizes_are_the_known_ones() -> None:
    assert len(data_of(some())) == len(HEADER) + 1500
    model = ecdc.MODELS["encodec_48khz"]
    assert list(model.frames(96_000)) == [150, 150, 3]
    body = b"".join(data_of(some(model.name, 96_000, 4)).partition(b"}")[2:])
    assert len(body) == 1527


@pytest.mark.parametrize("n_samples", [0, 1, 320, 321, 47_520, 47_521, 48_000, 48_001, 95_040, 200_000])
@pytest.mark.parametrize("name", ecdc.MODELS)
def test_every_length_comes_back(name: str, n_samples: int) -> None:
    content = some(name, n_samples, 3)
    found = ecdc.read(io.BytesIO(data_of(content)))
    assert found.header == content.header
    assert content.header.model.total_frames(n_samples) == sum(p.codes.shape[1] for p in found.segments)
    for ours, theirs in zip(found.segments, content.segments, strict=True):
        assert np.array_equal(ours.codes, theirs.codes)
        assert ours.scale == theirs.scale


def test_a_length_where_the_package_counts_a_frame_too_many_is_read() -> None:
    # ceil(6720 / 24000 * 75) is 22 in floating point; 21 frames are written, and its own reader fails.
    assert sum(part.codes.shape[1] for part in some(n_samples=6720).segments) == 21
    content = data_of(some(n_samples=6720))
    assert ecdc.read(io.BytesIO(content)).segments[0].codes.shape == (8, 21)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends inside of its header"),
        (b"RIFF" + bytes(40), "not an .ecdc file"),
        (struct.pack(">4sBI", b"ECDC", 1, 2) + b"{}", "version 1"),
        (struct.pack(">4sBI", b"ECDC", 0, 1 << 31), "header of the .ecdc file is damaged"),
        (with_json(b"[" * 60_000), "damaged"),
        (with_json(b"\xff\xfe"), "damaged"),
        (with_json(b"[1]"), "must say m, al, nc and lm"),
        (with_json(b'{"m": "encodec_24khz", "al": 1.5, "nc": 8, "lm": false}'), "must say"),
        (with_json(b'{"m": "encodec_24khz", "al": 10, "nc": true, "lm": false}'), "must say"),
        (with_json(b'{"m": "encodec_16khz", "al": 10, "nc": 8, "lm": false}'), "'encodec_16khz'"),
        (with_json(b'{"m": "encodec_24khz", "al": -1, "nc": 8, "lm": false}'), "not -1"),
        (with_json(b'{"m": "encodec_24khz", "al": 10, "nc": 33, "lm": false}'), "not 33"),
        (with_json(b'{"m": "encodec_24khz", "al": 140000000000000, "nc": 32, "lm": false}'), "cut off"),
        (with_json(b'{"m": "encodec_48khz", "al": 140000000000000, "nc": 16, "lm": false}'), "cut off"),
        (
            with_json(b'{"m": "encodec_48khz", "al": 320, "nc": 1, "lm": false}', b"\x7f\xc0\0\0\0\0"),
            "finite",
        ),
    ],
)
def test_damaged_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(TokenFileError, match=message):
        ecdc.read(io.BytesIO(data))


def test_a_file_that_is_cut_off_or_goes_on_is_refused() -> None:
    data = data_of(some())
    with pytest.raises(TokenFileError, match="cut off"):
        ecdc.read(io.BytesIO(data[:-1]))
    with pytest.raises(TokenFileError, match="goes on after its end"):
        ecdc.read(io.BytesIO(data + b"\0"))


def test_a_coded_file_without_a_language_model_says_which_one_it_needs() -> None:
    data = with_json(b'{"m": "encodec_48khz", "al": 10, "nc": 8, "lm": true}')
    assert ecdc.read_header(io.BytesIO(data)).coded
    with pytest.raises(ConfigError, match="encodec_lm_48khz"):
        ecdc.read(io.BytesIO(data))


def test_a_file_that_fails_to_be_written_is_not_left_behind(tmp_path: Path) -> None:
    content = some()
    coded = ecdc.EcdcFile(
        ecdc.EcdcHeader(content.header.model, content.header.n_samples, 8, True), content.segments
    )
    with pytest.raises(ConfigError, match="language model"):
        ecdc.write(tmp_path / "a.ecdc", coded)
    assert not list(tmp_path.iterdir())


def test_codes_that_do_not_fit_the_header_are_refused() -> None:
    content = some()
    with pytest.raises(ConfigError, match="do not make"):
        ecdc.EcdcFile(content.header, content.segments * 2)
    with pytest.raises(ConfigError, match="1024 entries"):
        ecdc.EcdcFile(content.header, (ecdc.Segment(content.segments[0].codes + np.uint16(1024)),))
    with pytest.raises(ConfigError, match="no scale"):
        ecdc.EcdcFile(content.header, (ecdc.Segment(content.segments[0].codes, 1.0),))
