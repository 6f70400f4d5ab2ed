"""`.dac` files: as `numpy.save` makes them, damaged ones, malicious ones, and what their sizes say."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec.errors import ConfigError, TokenFileError
from codec.interop import dac_file, dac_windows


def some(frames: int = 173, codebooks: int = 9, channels: int = 2, **fields: Any) -> dac_file.DacFile:
    """A file of random codes."""
    codes = np.random.default_rng(0).integers(0, 1024, (channels, codebooks, frames)).astype(np.uint16)
    values: dict[str, Any] = {
        "input_db": np.array([-20.25], np.float32),
        "original_length": 88_200,
        "sample_rate": 44_100,
        "chunk_length": frames,
        "channels": channels,
        "padding": True,
    }
    return dac_file.DacFile(codes, **{**values, **fields})


def artifacts(content: dac_file.DacFile) -> dict[str, Any]:
    """What descript-audio-codec's `DACFile.save` gives to `numpy.save`."""
    return {
        "codes": content.codes,
        "metadata": {
            "input_db": content.input_db,
            "original_length": content.original_length,
            "sample_rate": content.sample_rate,
            "chunk_length": content.chunk_length,
            "channels": content.channels,
            "padding": content.padding,
            "dac_version": "1.0.0",
        },
    }


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def same(one: dac_file.DacFile, other: dac_file.DacFile) -> bool:
    def plain(content: dac_file.DacFile) -> list[Any]:
        found = artifacts(content)
        return [found["codes"].tolist(), {**found["metadata"], "input_db": content.input_db.tolist()}]

    return plain(one) == plain(other)


@pytest.mark.parametrize(
    "content",
    [
        some(),
        some(frames=0, chunk_length=1, original_length=0),
        some(padding=False, chunk_length=72, frames=288, channels=1),
        some(input_db=np.array([[-20.0], [-30.0]], np.float32), channels=2),
        some(input_db=np.array(-20.0, np.float32)),
    ],
)
def test_files_are_those_of_numpy_save_to_the_byte_and_are_read(content: dac_file.DacFile) -> None:
    theirs = saved(artifacts(content))
    ours = io.BytesIO()
    dac_file.write(ours, content)
    assert ours.getvalue() == theirs
    assert same(dac_file.read(io.BytesIO(theirs)), content)
    # This is how the package reads it.
    found = np.load(io.BytesIO(ours.getvalue()), allow_pickle=True)[()]
    assert found["metadata"]["dac_version"] == "1.0.0"
    assert np.array_equal(found["codes"], content.codes)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_older_and_newer_pickles_are_read(protocol: int) -> None:
    content = some()
    head = saved(artifacts(content))[:128]
    data = head + pickle.dumps(np.array(artifacts(content), dtype=object), protocol)
    assert same(dac_file.read(io.BytesIO(data)), content)


class Runs:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["all", "codes", "metadata", "input_db"])
def test_a_malicious_file_is_refused_and_runs_nothing(place: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    content, bad = artifacts(some()), Runs(f"touch {marker}")
    if place == "input_db":
        content["metadata"]["input_db"] = bad
    else:
        content[place] = bad
    data = saved(np.array(bad if place == "all" else content, dtype=object))
    with pytest.raises(TokenFileError, match="refused"):
        dac_file.read(io.BytesIO(data))
    assert not marker.exists()
    np.load(io.BytesIO(data), allow_pickle=True)
    assert marker.exists()  # numpy, and so the package, would have run it


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (b"RIFF" + bytes(40), "not a .dac file"),
        (saved(np.zeros(4)), "plain array"),
        (saved(np.array([{}, {}], dtype=object)), "plain array"),
        (saved({"codes": 1}), "codes and metadata"),
        (saved({"codes": np.zeros((1, 1, 1), np.uint16), "metadata": {}}), "metadata"),
        (saved(artifacts(some()))[:-100], "damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff" + bytes(200), "cut off|plain array"),
    ],
)
def test_damaged_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(TokenFileError, match=message):
        dac_file.read(io.BytesIO(data))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("original_length", -1),
        ("original_length", 1.5),
        ("original_length", True),
        ("sample_rate", 0),
        ("chunk_length", 0),
        ("chunk_length", 174),
        ("channels", 3),
        ("padding", 1),
        ("input_db", np.array([np.nan], np.float32)),
        ("input_db", np.array([-20], np.int32)),
        ("input_db", -20.0),
        ("dac_version", "2.0.0"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    content = artifacts(some())
    content["metadata"][field] = value
    with pytest.raises(TokenFileError):
        dac_file.read(io.BytesIO(saved(content)))


@pytest.mark.parametrize(
    "codes", [np.zeros((2, 3), np.uint16), np.full((1, 1, 2), 1024, np.uint16), np.zeros((1, 1, 1))]
)
def test_codes_of_another_kind_are_refused(codes: np.ndarray) -> None:
    content = artifacts(some())
    content["codes"] = codes
    with pytest.raises(TokenFileError, match="codes"):
        dac_file.read(io.BytesIO(saved(content)))
    with pytest.raises(ConfigError):
        dac_file.DacFile(codes, np.zeros(1, np.float32), 1, 1, 1, 1, True)


@pytest.mark.parametrize("model", dac_windows.MODELS[:3])
@pytest.mark.parametrize("seconds", [0.4, 3.7, 60.0])
def test_the_sizes_of_a_file_say_which_model_made_it(model: dac_windows.DacModel, seconds: float) -> None:
    n_samples = round(seconds * model.sample_rate)
    whole = -(-n_samples // model.hop_length)
    window = -(-model.sample_rate // model.hop_length) * model.hop_length
    chunk = model.window_frames(window)
    assert model.window_of(chunk) == window
    windows = -(-n_samples // model.window_samples(chunk))
    for frames, chunk_length, padding in ((whole, whole, True), (windows * chunk, chunk, False)):
        found = dac_windows.model_of(
            codebooks=model.codebooks,
            frames=frames,
            chunk_length=chunk_length,
            padding=padding,
            seconds=seconds,
        )
        assert found == model


def test_sizes_of_no_model_are_noticed() -> None:
    found = dac_windows.model_of(codebooks=9, frames=100, chunk_length=100, padding=True, seconds=60)
    assert found is None
