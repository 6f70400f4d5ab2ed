"""`kill -9` at any moment: a file is whole or not there at all, and a stream is whole to its last page."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.audio import AudioWriter, read_audio
from codec.errors import TokenFileError
from codec.tokenfile.seek import Layout
from tests.cli.conftest import Run
from tests.cli.test_pipes import CODEC, ONE_THREAD

ROOT = Path(__file__).parents[2]
MOMENTS = np.random.default_rng(6).uniform(0.0, 1.1, 20).tolist()


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("killed") / "long.wav"
    with AudioWriter(path, 16000, 1) as writer:
        for _ in range(2):
            writer.write(speech[None])
    return path


def kill(arguments: Sequence[str | Path], outputs: Sequence[Path]) -> None:
    job = {
        "arguments": [str(argument) for argument in arguments],
        "moments": MOMENTS[: len(outputs) - 1],
        "outputs": [str(path) for path in outputs],
    }
    subprocess.run(
        [sys.executable, "-m", "tests.cli.kill_at"],
        input=json.dumps(job).encode(),
        env={**ONE_THREAD, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        check=True,
    )


def test_a_target_is_absent_or_whole(long_recording: Path, tmp_path: Path) -> None:
    """Every other target exists before: then it is the old file or the new one."""
    kept = b"the old file"
    for run in range(1, 21, 2):
        (tmp_path / f"{run}.cdc").write_bytes(kept)
    kill(
        ("encode", long_recording, "-o", tmp_path / "{k}.cdc", "--kbps", "3", "--force"),
        [tmp_path / "printed"] * 21,
    )
    whole = (tmp_path / "0.cdc").read_bytes()
    assert codec.read(io.BytesIO(whole)).n_samples == read_audio(long_recording)[0].shape[1]
    found = [
        path.read_bytes() if (path := tmp_path / f"{run}.cdc").exists() else None for run in range(1, 21)
    ]
    assert set(found[0::2]) <= {kept, whole}
    assert set(found[1::2]) <= {None, whole}
    # The moments were neither all too early nor all too late.
    assert kept in found or None in found


def test_a_stream_is_readable_to_its_last_whole_page(long_recording: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / f"{run}.cdc" for run in range(21)]
    kill(("encode", long_recording, "-o", "-", "--kbps", "3"), outputs)
    whole = outputs[0].read_bytes()
    tokens, layout = codec.read(io.BytesIO(whole)), Layout(io.BytesIO(whole))
    ends = [*layout.offsets[1:], len(whole)]
    for path in outputs[1:]:
        data = path.read_bytes()
        assert whole.startswith(data)
        pages = sum(end <= len(data) for end in ends)
        try:
            got = codec.read(path)
        except TokenFileError:
            assert len(data) < layout.offsets[0]
            continue
        assert got.frames == min(pages * layout.header.page_frames, tokens.frames)
        assert np.array_equal(got.codes, tokens.codes[:, :, : got.frames])


def test_a_file_that_still_grows_can_be_decoded(long_recording: Path, run: Run, tmp_path: Path) -> None:
    growing, wav = tmp_path / "growing.cdc", tmp_path / "a.wav"
    with open(growing, "wb") as out:
        encoder = subprocess.Popen(
            [*CODEC, "encode", "-", "--kbps", "3"],
            stdin=subprocess.PIPE,
            stdout=out,
            env=ONE_THREAD,
        )
    assert encoder.stdin is not None
    data = long_recording.read_bytes()
    encoder.stdin.write(data[: len(data) * 3 // 4])
    encoder.stdin.flush()
    deadline, frames = time.monotonic() + 60, 0
    while frames < 512 and time.monotonic() < deadline:
        time.sleep(0.05)
        with suppress(TokenFileError):
            frames = codec.read(growing).frames
    assert encoder.poll() is None
    assert frames >= 512
    assert run("info", growing, "--json").json[0]["finished"] is False
    result = run("decode", growing, "-o", wav)
    assert result.code == 0
    assert "ends without an end record" in result.complaint
    heard, _ = read_audio(wav)
    encoder.stdin.write(data[len(data) * 3 // 4 :])
    encoder.stdin.close()
    assert encoder.wait(60) == 0
    assert run("decode", growing, "-o", wav, "--force").err == ""
    whole, _ = read_audio(wav)
    assert whole.shape[1] == read_audio(long_recording)[0].shape[1]
    settled = heard.shape[1] - 640
    np.testing.assert_allclose(whole[:, :settled], heard[:, :settled], rtol=0, atol=1.01 / 32768)
