"""Pipes: what arrives is coded as it arrives, and the result is that of files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.audio import AudioWriter, read_audio
from codec.cli import main
from tests.cli.conftest import Run

Through = Callable[..., tuple[int, bytes, str]]
CODEC = [sys.executable, "-c", "import sys; from codec.cli import main; sys.exit(main())"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(*arguments: str | Path, stdin: int | None = None) -> subprocess.Popen[bytes]:
    """`codec` with arguments in a process of its own."""
    return subprocess.Popen(
        [*CODEC, *map(str, arguments)],
        stdin=subprocess.PIPE if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ONE_THREAD,
        # A test run in the background of a shell ignores interrupts, and so would the process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("pipes") / "stereo.wav"
    with AudioWriter(path, 24000, 2) as writer:
        writer.write(np.stack([speech[:70_003], speech[9_000:79_003]]))
    return path


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Through:
    """Runs `codec` in this process on data as standard input; gives exit code, output and complaints."""

    def call(data: bytes, *arguments: str | Path) -> tuple[int, bytes, str]:
        output = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(output))
            code = main([str(argument) for argument in arguments])
            return code, output.getvalue(), capfd.readouterr().err

    return call


def test_a_chain_of_pipes_equals_the_way_through_files(run: Run, recording: Path, tmp_path: Path) -> None:
    encoder = start("encode", "-", "--kbps", "4")
    assert encoder.stdin is not None
    assert encoder.stdout is not None
    decoder = start("decode", "-", stdin=encoder.stdout.fileno())
    encoder.stdin.write(recording.read_bytes())
    encoder.stdin.close()
    wav, complaints = decoder.communicate(timeout=60)
    assert (encoder.wait(60), decoder.returncode, complaints) == (0, 0, b"")
    (tmp_path / "piped.wav").write_bytes(wav)
    piped, rate = read_audio(tmp_path / "piped.wav")

    run("encode", recording, "-o", tmp_path / "a.cdc", "--kbps", "4")
    run("decode", tmp_path / "a.cdc")
    expected, _ = read_audio(tmp_path / "a.wav")
    assert (rate, piped.shape) == (24000, (2, 70_003))
    # Kernels round differently for short pages than for long ones, by far less than a 16-bit step: it may
    # at most tip a sample to the next one.
    np.testing.assert_allclose(piped, expected, rtol=0, atol=1 / 32768)
    assert np.mean(piped != expected) < 1e-3


def test_a_pipe_carries_the_same_tokens_as_a_file(
    through: Through, run: Run, recording: Path, tmp_path: Path
) -> None:
    _, stream, _ = through(recording.read_bytes(), "encode", "-", "--kbps", "4")
    run("encode", recording, "-o", tmp_path / "a.cdc", "--kbps", "4")
    assert codec.read(io.BytesIO(stream)) == codec.read(tmp_path / "a.cdc")


def test_pages_leave_while_the_recording_still_arrives(recording: Path) -> None:
    data = recording.read_bytes()
    encoder = start("encode", "-")
    assert encoder.stdin is not None
    assert encoder.stdout is not None
    decoder = start("decode", "-", stdin=encoder.stdout.fileno())
    assert decoder.stdout is not None
    encoder.stdin.write(data[: len(data) * 2 // 3])
    encoder.stdin.flush()
    # The first second is heard although the recording has not ended.
    assert len(decoder.stdout.read(44 + 4 * 24000)) == 44 + 4 * 24000
    assert encoder.poll() is None
    assert decoder.poll() is None
    encoder.stdin.write(data[len(data) * 2 // 3 :])
    encoder.stdin.close()
    rest = decoder.stdout.read()
    assert 44 + 4 * 24000 + len(rest) == 44 + 4 * 70_003
    assert (encoder.wait(60), decoder.wait(60)) == (0, 0)


def test_a_stream_that_breaks_off_gives_its_whole_pages_and_a_warning(
    through: Through, recording: Path
) -> None:
    _, stream, _ = through(b"", "encode", recording, "-o", "-")
    code, wav, complaints = through(stream[: len(stream) // 2], "decode", "-")
    assert code == 0
    assert 0.9 <= (len(wav) - 44) / 4 / 24000 <= 1.5
    (line,) = complaints.splitlines()
    assert line.startswith("codec: warning: standard input: ends without an end record")


def test_a_damaged_stream_ends_with_an_error(through: Through, recording: Path) -> None:
    _, stream, _ = through(b"", "encode", recording, "-o", "-")
    middle = len(stream) // 2
    damaged = stream[:middle] + bytes([stream[middle] ^ 1]) + stream[middle + 1 :]
    code, wav, complaints = through(damaged, "decode", "-")
    assert code == 1
    assert len(wav) > 44
    (line,) = complaints.splitlines()
    assert line.startswith("codec: standard input: page ")


def test_raw_samples(through: Through, run: Run, recording: Path, tmp_path: Path) -> None:
    samples = recording.read_bytes()[-70_003 * 4 :]
    through(samples, "encode", "-", "--raw", "24000:2:s16le", "-o", tmp_path / "raw.cdc")
    run("encode", recording, "-o", tmp_path / "wav.cdc")
    assert codec.read(tmp_path / "raw.cdc") == codec.read(tmp_path / "wav.cdc")


@pytest.mark.parametrize(("data", "text"), [(b"", "is empty"), (b"no sound " * 99, "not a recording")])
def test_standard_input_without_a_recording(through: Through, data: bytes, text: str) -> None:
    code, output, complaints = through(data, "encode", "-")
    assert (code, output) == (1, b"")
    (line,) = complaints.splitlines()
    assert line.startswith("codec: standard input: ")
    assert text in line


def test_a_reader_that_leaves_is_no_reason_to_complain(recording: Path) -> None:
    encoder = start("encode", recording, "-o", "-")
    assert encoder.stdout is not None
    encoder.stdout.close()
    assert encoder.stderr is not None
    assert encoder.stderr.read() == b""
    assert encoder.wait(60) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_is_quiet_and_leaves_no_partial_file(
    recording: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    encoder = start("encode", "-", "-o", tmp_path / "a.cdc")
    assert encoder.stdin is not None
    encoder.stdin.write(recording.read_bytes()[:100_000])
    encoder.stdin.flush()
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(tmp_path.iterdir())
    encoder.send_signal(number)
    _, complaints = encoder.communicate(timeout=60)
    assert (encoder.returncode, complaints) == (code, b"")
    assert list(tmp_path.iterdir()) == []
