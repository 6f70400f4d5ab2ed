"""Audio files, pipes and arrays: what goes in comes out unchanged, and what is unusable is refused."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import AudioReader, AudioWriter, RawFormat, check_audio, read_audio
from codec.errors import AudioError, OutputError
from codec.pcm import wav_header

SAMPLES = Path(__file__).parent.parent / "samples"
RATE = 16000


def noise(channels: int = 1, samples: int = 5000, peak: float = 0.9) -> np.ndarray:
    return np.random.default_rng(0).uniform(-peak, peak, (channels, samples)).astype(np.float32)


def save(path: Path, x: np.ndarray, rate: int = RATE, **options: str) -> Path:
    soundfile.write(path, x.T, rate, **options)
    return path


def wav_bytes(x: np.ndarray, subtype: str = "PCM_16", file_format: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, x.T, RATE, format=file_format, subtype=subtype)
    return buffer.getvalue()


def read_pipe(data: bytes, raw: RawFormat | None = None) -> tuple[np.ndarray, AudioReader]:
    """What AudioReader makes of bytes that arrive through a named pipe, in pieces of odd sizes."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "pipe"
        os.mkfifo(pipe)

        def feed() -> None:
            with open(pipe, "wb", buffering=0) as end:
                for start in range(0, len(data), 777):
                    try:
                        end.write(data[start : start + 777])
                    except BrokenPipeError:
                        return

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            with AudioReader(pipe, raw=raw) as reader:
                blocks = list(reader.blocks(1000))
        finally:
            feeder.join()
    return np.concatenate([np.zeros((reader.channels, 0), np.float32), *blocks], axis=1), reader


def refusal(path: Path) -> str:
    """The sentence with which reading the whole of `path` is refused."""
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


# Reading files


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_of_any_type_reads_as_libsndfile_reads_it(tmp_path, subtype, channels):
    path = save(tmp_path / "a.wav", noise(channels), subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    x, rate = read_audio(path)
    assert rate == RATE
    np.testing.assert_array_equal(x, expected.T)


@pytest.mark.parametrize("file_format", ["WAVEX", "RF64", "AIFF", "FLAC", "W64", "AU"])
def test_other_lossless_containers_give_the_samples_and_their_number(tmp_path, file_format):
    x = noise(2)
    path = tmp_path / "a.bin"
    soundfile.write(path, x.T, RATE, format=file_format, subtype="PCM_24")
    with AudioReader(path) as reader:
        assert (reader.channels, reader.sample_rate, reader.n_samples) == (2, RATE, 5000)
        assert np.abs(np.concatenate(list(reader.blocks(999)), axis=1) - x).max() < 2**-22


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_the_length_of_a_lossy_file_is_left_to_counting(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", noise(1, 40_000))
    with AudioReader(path) as reader:
        assert reader.n_samples is None
        assert sum(block.shape[1] for block in reader.blocks(1000)) == 40_000


def test_an_mp3_whose_header_tells_no_length_is_read_to_its_end(tmp_path):
    x = noise(1, 160_000) * np.linspace(0.001, 1, 160_000, dtype=np.float32)
    data = save(tmp_path / "a.mp3", x).read_bytes()
    assert data[13:17] == b"Xing"
    second_frame = data.index(data[:2], 100)
    path = tmp_path / "b.mp3"
    path.write_bytes(data[second_frame:])
    assert read_audio(path)[0].shape[1] >= 160_000


def test_blocks_have_the_size_asked_for_and_join_to_the_whole(tmp_path):
    path = save(tmp_path / "a.flac", noise(2, 5000))
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(1024))
    assert [block.shape for block in blocks] == [(2, 1024)] * 4 + [(2, 904)]
    assert all(block.dtype == np.float32 and block.flags.c_contiguous for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), read_audio(path)[0])


def test_a_long_file_is_read_in_little_memory(tmp_path):
    path = tmp_path / "long.wav"
    fmt = RawFormat(RATE, 1, "f32le")
    size = 3600 * RATE * 4
    with open(path, "wb") as file:
        file.write(wav_header(fmt, size))
        file.truncate(file.tell() + size)
    tracemalloc.start()
    try:
        with AudioReader(path) as reader:
            assert sum(block.shape[1] for block in reader.blocks(1 << 16)) == 3600 * RATE
        assert tracemalloc.get_traced_memory()[1] < 4e6  # bytes; the file has 230 million
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_without_samples_is_an_empty_recording(tmp_path, channels):
    path = save(tmp_path / "a.wav", np.zeros((channels, 0)))
    x, rate = read_audio(path)
    assert (x.shape, x.dtype, rate) == ((channels, 0), np.float32, RATE)


def test_chunks_after_the_samples_are_not_samples(tmp_path):
    path = tmp_path / "a.wav"
    for samples in (0, 5):
        body = wav_header(RawFormat(RATE, 1), 2 * samples)[12:] + bytes(2 * samples) + b"LIST\x04\0\0\0INFO"
        path.write_bytes(b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WAVE" + body)
        assert read_audio(path)[0].shape == (1, samples)


# Refusing files


def test_what_is_no_recording_is_refused_by_name(tmp_path):
    text = tmp_path / "text.wav"
    text.write_text("these are words\n" * 100)
    assert "not a recording" in refusal(text)
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert "empty" in refusal(empty)
    assert "folder" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "missing.wav")
    assert "cannot be opened" in refusal(tmp_path / "a\0.wav")


def test_a_file_that_may_not_be_read_is_refused():
    # Root may read anything, so that the script gives up its rights first where it has them.
    script = (
        "import os, sys\nfrom codec.audio import read_audio\nfrom codec.errors import AudioError\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: read_audio(sys.argv[1])\nexcept AudioError as error: print(error)"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = save(Path(folder) / "secret.wav", noise())
        path.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
    assert done.stdout == f"{path} cannot be read: permission denied.\n"


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_a_file_that_was_cut_short_is_refused_wherever_the_cut_is(tmp_path, suffix):
    data = save(tmp_path / f"a{suffix}", noise(1, 60_000)).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for cut in [1, 4, 11, 20, 43, 60, 500, len(data) // 3, len(data) // 2, len(data) - 300, len(data) - 1]:
        path.write_bytes(data[:cut])
        refusal(path)


def test_damage_inside_a_flac_is_found(tmp_path):
    path = save(tmp_path / "a.flac", noise(1, 60_000))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_nine_channels_are_refused_and_eight_are_not(tmp_path):
    assert "9 channels" in refusal(save(tmp_path / "nine.wav", noise(9, 10)))
    assert read_audio(save(tmp_path / "eight.wav", noise(8, 10)))[0].shape == (8, 10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_sample_that_is_not_finite_is_named_by_its_time(tmp_path, bad):
    x = noise(2, RATE * 2)
    x[1, 24_000] = x[0, 30_000] = bad
    assert "1.500 s" in refusal(save(tmp_path / "bad.wav", x, subtype="FLOAT"))


def test_a_float64_beyond_float32_is_not_finite(tmp_path):
    assert "0.000 s" in refusal(save(tmp_path / "huge.wav", np.full((1, 4), 1e300), subtype="DOUBLE"))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    data=st.binary(max_size=200), start=st.sampled_from([b"", b"RIFF", b"OggS", b"ID3", b"\xff\xfb", b"fLaC"])
)
def test_no_bytes_whatever_raise_anything_but_an_audio_error(tmp_path_factory, data, start):
    path = tmp_path_factory.getbasetemp() / "any.wav"
    path.write_bytes(start + data)
    refusal(path)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(position=st.integers(0, 59), value=st.integers(0, 255))
def test_a_changed_byte_in_a_wav_header_is_read_or_refused_but_never_a_crash(
    tmp_path_factory, position, value
):
    data = bytearray(wav_bytes(noise(2, 50)))
    data[position] = value
    path = tmp_path_factory.getbasetemp() / "changed.wav"
    path.write_bytes(data)
    with contextlib.suppress(AudioError):
        assert read_audio(path)[0].size <= 4 * len(data)


# Reading pipes


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("file_format", ["WAV", "WAVEX"])
def test_a_wav_through_a_pipe_is_the_same_as_from_a_file(tmp_path, subtype, file_format):
    data = wav_bytes(noise(2), subtype, file_format)
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    x, reader = read_pipe(data)
    assert (reader.sample_rate, reader.n_samples) == (RATE, 5000)
    np.testing.assert_array_equal(x, read_audio(path)[0])


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path, size):
    x = noise(2)
    samples = np.rint(x.T * 32767).astype("<i2")
    header = bytearray(wav_header(RawFormat(RATE, 2), streaming=True))
    header[40:44] = size.to_bytes(4, "little")
    y, reader = read_pipe(bytes(header) + samples.tobytes())
    assert reader.n_samples is None
    np.testing.assert_array_equal(y, samples.T.astype(np.float32) / 32768)
    path = tmp_path / "saved.wav"
    path.write_bytes(bytes(header) + samples.tobytes())
    np.testing.assert_array_equal(read_audio(path)[0], y)


@pytest.mark.parametrize("file_format", ["FLAC", "OGG", "MP3"])
def test_compressed_audio_through_a_pipe_is_the_same_as_from_a_file(tmp_path, file_format):
    path = tmp_path / "a.bin"
    soundfile.write(path, noise(1, 20_000).T, RATE, format=file_format)
    x, _ = read_pipe(path.read_bytes())
    np.testing.assert_array_equal(x, read_audio(path)[0])


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    path = save(tmp_path / "a.flac", noise(1, 20_000))
    expected = read_audio(path)[0]
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO: 36 bits of length, then the MD5 of the samples, both "unknown" when zero
    data[22:42] = bytes(20)
    x, reader = read_pipe(bytes(data))
    assert reader.n_samples is None
    np.testing.assert_array_equal(x, expected)


def test_raw_samples_need_their_format():
    x = noise(2, 3000)
    y, reader = read_pipe(x.T.astype("<f4").tobytes(), RawFormat(48_000, 2, "f32le"))
    assert (reader.sample_rate, reader.channels, reader.n_samples) == (48_000, 2, None)
    np.testing.assert_array_equal(y, x)
    z, _ = read_pipe(np.array([0, -32768, 16384], "<i2").tobytes(), RawFormat(8000, 1, "s16le"))
    np.testing.assert_array_equal(z, [[0, -1, 0.5]])


def test_raw_samples_that_end_in_the_middle_of_one_are_refused():
    with pytest.raises(AudioError, match="middle of a sample"):
        read_pipe(bytes(4001), RawFormat(8000, 2))


def test_a_pipe_that_breaks_off_is_refused():
    data = wav_bytes(noise())
    with pytest.raises(AudioError, match="cut short"):
        read_pipe(data[: len(data) // 2])
    with pytest.raises(AudioError, match="empty"):
        read_pipe(b"")


def test_standard_input_is_read_and_standard_output_written():
    script = (
        "from codec.audio import AudioReader, AudioWriter\n"
        "with AudioReader('-') as r, AudioWriter('-', r.sample_rate, r.channels) as w:\n"
        "    for block in r.blocks(100): w.write(block)"
    )
    data = wav_bytes(noise(2))
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True)
    assert done.stdout[:8] == b"RIFF\xff\xff\xff\xff"
    assert done.stdout[44:] == data[44:]
    assert done.stderr == b""


def test_a_reader_who_leaves_gives_one_clear_error():
    script = (
        "import numpy as np, sys\nfrom codec.audio import AudioWriter\nfrom codec.errors import OutputError\n"
        "try:\n"
        "    with AudioWriter('-', 16000, 1) as w:\n"
        "        for _ in range(100): w.write(np.zeros((1, 100_000), np.float32))\n"
        "except OutputError as error: sys.stderr.write(str(error))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert (
        process.stderr.read()
        == b"standard output cannot be written: the program that reads the pipe has ended."
    )
    process.stderr.close()
    assert process.wait() == 0


# Writing


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", None, 2**-16),
        ("a.wav", "PCM_U8", 2**-8),
        ("a.wav", "PCM_24", 2**-24),
        ("a.wav", "PCM_32", 2**-24),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.flac", None, 2**-16),
        ("a.flac", "PCM_24", 2**-24),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_written_samples_are_rounded_to_the_nearest_and_other_programs_read_them(
    tmp_path, name, subtype, tolerance, channels
):
    x = noise(channels, 4999)
    with AudioWriter(tmp_path / name, RATE, channels, subtype) as writer:
        for start in range(0, 4999, 700):
            writer.write(x[:, start : start + 700])
    y, rate = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)
    assert rate == RATE
    assert y.shape == (4999, channels)
    assert np.abs(y.T - x).max() <= tolerance
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_standard_library_reads_our_wav(tmp_path):
    with AudioWriter(tmp_path / "a.wav", 44_100, 2) as writer:
        writer.write(noise(2, 1234))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 44_100, 1234)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-32768, 32767), max_size=50), suffix=st.sampled_from([".wav", ".flac"]))
def test_sixteen_bit_samples_survive_reading_and_writing_unchanged(tmp_path_factory, values, suffix):
    path = tmp_path_factory.getbasetemp() / f"exact{suffix}"
    samples = np.array([*values, 0], np.int16)
    with AudioWriter(path, RATE, 1) as writer:
        writer.write(check_audio(samples))
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], samples)
    np.testing.assert_array_equal(read_audio(path)[0], check_audio(samples))


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_what_is_too_loud_is_clipped(tmp_path, name):
    with AudioWriter(tmp_path / name, RATE, 1) as writer:
        writer.write(np.array([[2.0, -2.0, 1.0, -1.0]], np.float32))
    assert soundfile.read(tmp_path / name, dtype="int16")[0].tolist() == [32767, -32768, 32767, -32768]


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus"])
def test_lossy_formats_hold_a_likeness_of_the_same_length(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    t = np.arange(32_000) / RATE
    x = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[None]
    with AudioWriter(path, RATE, 1) as writer:
        writer.write(x)
    y, rate = read_audio(path)
    assert rate == RATE
    assert y.shape == x.shape
    assert np.abs(y - x)[:, 2000:-2000].mean() < 0.05


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
def test_an_empty_recording_can_be_written(tmp_path, name):
    with AudioWriter(tmp_path / name, RATE, 2):
        pass
    assert read_audio(tmp_path / name)[0].shape == (2, 0)


def test_beyond_4_gib_the_header_is_rf64(tmp_path):
    path = tmp_path / "big.wav"
    size = 5 * 2**30
    header = wav_header(RawFormat(48_000, 2), size)
    assert header[:4] == b"RF64"
    assert len(header) == len(wav_header(RawFormat(48_000, 2), 100))
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    assert soundfile.info(path).frames == size // 4
    with AudioReader(path) as reader:
        assert reader.n_samples == size // 4


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_an_exception_leaves_no_file_and_an_old_one_as_it_was(tmp_path, suffix):
    old = tmp_path / f"old{suffix}"
    old.write_bytes(b"as it was")

    def interrupted(path: Path) -> None:
        with AudioWriter(path, RATE, 1) as writer:
            writer.write(noise())
            raise KeyError

    for path in (old, tmp_path / f"new{suffix}"):
        with pytest.raises(KeyError):
            interrupted(path)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"as it was"


def test_the_file_has_its_name_only_once_it_is_complete(tmp_path):
    with AudioWriter(tmp_path / "a.wav", RATE, 1) as writer:
        writer.write(noise())
        assert not (tmp_path / "a.wav").exists()
    assert (tmp_path / "a.wav").exists()


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "folder" / "real.wav")
    with AudioWriter(tmp_path / "link.wav", RATE, 1) as writer:
        writer.write(noise())
    assert (tmp_path / "link.wav").is_symlink()
    assert (tmp_path / "folder" / "real.wav").exists()


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype", "reason"),
    [
        ("a.txt", RATE, 1, None, "suffix"),
        ("a", RATE, 1, None, "suffix"),
        ("nowhere/a.wav", RATE, 1, None, "no such file or directory"),
        ("nowhere/a.flac", RATE, 1, None, "no such file or directory"),
        (".", RATE, 1, "PCM_16", "suffix"),
        ("a.wav", RATE, 1, "VORBIS", "VORBIS"),
        ("a.flac", RATE, 9, None, "9 channel"),
        ("a.mp3", 96_000, 1, None, "96000 Hz"),
        ("a.wav", 0, 1, None, "0 Hz"),
        ("a.wav", RATE, 0, None, "0 channel"),
    ],
)
def test_an_output_that_cannot_be_is_refused_at_once(tmp_path, name, rate, channels, subtype, reason):
    with pytest.raises(OutputError, match=reason):
        AudioWriter(tmp_path / name, rate, channels, subtype)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_overwritten(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OutputError, match="folder"):
        AudioWriter(tmp_path / "folder.wav", RATE, 1)


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_formats_that_need_a_sample_refuse_an_empty_recording(tmp_path, suffix):
    with pytest.raises(OutputError, match="without samples"), AudioWriter(tmp_path / f"a{suffix}", RATE, 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_device_without_room_is_reported():
    with pytest.raises(OutputError, match="no space left on device"):
        AudioWriter("/dev/full", RATE, 1)
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("seconds", [1, 60])
def test_a_write_that_fails_is_reported_and_leaves_nothing(tmp_path, name, seconds):
    # The limit on file size makes the kernel refuse the write as a full disk does, with another errno; one
    # second of the compressed formats fits in buffers, so that only closing the file can fail.
    script = (
        "import numpy as np, resource, signal, sys\n"
        "from codec.audio import AudioWriter\nfrom codec.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "x = np.random.default_rng(0).uniform(-1, 1, (1, 1600)).astype(np.float32)\n"
        "try:\n"
        "    with AudioWriter(sys.argv[1], 16000, 1) as writer:\n"
        "        for _ in range(int(sys.argv[2])): writer.write(x)\n"
        "except OutputError as error: print(error)"
    )
    path = tmp_path / name
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(seconds * 10)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{path} cannot be written: file too large.\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_writer_takes_only_what_it_can_hold(tmp_path):
    with AudioWriter(tmp_path / "a.wav", RATE, 2) as writer:
        for wrong in (noise(1), noise(2)[0], np.full((2, 3), np.nan, np.float32)):
            with pytest.raises(AudioError, match=r"a\.wav"):
                writer.write(wrong)


# Arrays


@pytest.mark.parametrize("shape", [(0,), (1,), (100,), (1, 100), (2, 100), (8, 0)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_arrays_become_float32_channels_by_samples(shape, dtype):
    x = np.full(shape, 0.5, dtype)
    y = check_audio(x)
    assert y.dtype == np.float32
    assert y.shape == (shape if len(shape) == 2 else (1, *shape))
    assert (y == 0.5).all()


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.int16, [-(2**15), 0, 2**14]),
        (np.int32, [-(2**31), 0, 2**30]),
        (np.uint8, [0, 128, 192]),
    ],
)
def test_integers_are_scaled_to_their_full_range(dtype, values):
    np.testing.assert_array_equal(check_audio(np.array(values, dtype)), [[-1, 0, 0.5]])


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.float32(1), "shape"),
        (np.zeros((1, 2, 3)), "shape"),
        (np.zeros((0, 5)), "0 channels"),
        (np.zeros((9, 5)), "9 channels"),
        (np.zeros(5, np.int64), "int64"),
        (np.zeros(5, bool), "bool"),
        (np.zeros(5, complex), "complex"),
        (["a"], "full scale"),
        ([[1.0], [1.0, 2.0]], "array of numbers"),
        (np.array([0, np.nan]), "sample 1"),
        (np.array([[0, 0, 0], [0, 0, -np.inf]]), "sample 2"),
        (np.array([1e300]), "sample 0"),
    ],
)
def test_arrays_that_are_no_audio_are_refused(x, reason):
    with pytest.raises(AudioError, match=reason):
        check_audio(x)


# The shipped recordings


@pytest.mark.parametrize(
    ("name", "rate", "channels", "seconds"),
    [
        ("voice_a.flac", 16_000, 1, (4, 6)),
        ("voice_b.flac", 16_000, 1, (4, 6)),
        ("music.flac", 24_000, 1, (5, 5)),
        ("silence.wav", 16_000, 1, (2, 2)),
        ("stereo_44k.wav", 44_100, 2, (3, 3)),
    ],
)
def test_the_samples_are_what_the_readme_says(name, rate, channels, seconds):
    x, sample_rate = read_audio(SAMPLES / name)
    assert sample_rate == rate
    assert x.shape[0] == channels
    assert seconds[0] <= x.shape[1] / rate <= seconds[1]
    assert (np.abs(x).max() == 0) == (name == "silence.wav")
    assert np.abs(x).max() < 1
