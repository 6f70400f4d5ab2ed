"""Other codecs: Opus, commands with places for file names, and models side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.errors import ConfigError
from codec.evaluation.metrics import si_sdr
from codec.evaluation.opus import opus_system
from codec.evaluation.peers import peer_system
from codec.evaluation.systems import Decoded, System, check_names, model_systems

RATE = 16000


@pytest.fixture(scope="module")
def clip(speech: np.ndarray) -> np.ndarray:
    return np.round(speech[None, : 2 * RATE] * 2**15) / np.float32(2**15)


def code(system: System, audio: np.ndarray, folder: Path) -> list[Decoded]:
    return list(system.code(audio, RATE, str(folder)))


def test_opus_gets_better_and_bigger_with_its_rate(clip: np.ndarray, tmp_path: Path) -> None:
    found = code(opus_system([24, 8]), clip, tmp_path)
    assert [item.kbps for item in found] == [8, 24]
    quality = []
    for item in found:
        assert item.audio is not None
        assert item.audio.shape == clip.shape
        assert item.kbps * 0.6 < item.file_kbps < item.kbps * 1.6
        quality.append(si_sdr(clip[0], item.audio[0]))
    assert 3 < quality[0] < quality[1] - 3


def test_opus_codes_channels_for_the_rate_of_each(clip: np.ndarray, tmp_path: Path) -> None:
    pair = np.concatenate([clip, clip[:, ::-1]])
    (found,) = code(opus_system([16]), pair, tmp_path)
    assert found.audio is not None
    assert found.audio.shape == pair.shape
    assert found.file_kbps == pytest.approx(16, rel=0.5)


def test_opus_without_rates_has_low_ones_and_refuses_others() -> None:
    assert opus_system().kbps == (6, 8, 12)
    with pytest.raises(ConfigError, match=r"no 0\.5 kbps"):
        opus_system([0.5])


def test_a_missing_program_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="opusenc is not there to be run: install opus-tools"):
        opus_system()
    with pytest.raises(ConfigError, match=r"nothing-such is not there to be run: .* peer x"):
        peer_system("x=nothing-such {in} {out}", [])


def test_a_copy_is_the_recording_itself(clip: np.ndarray, tmp_path: Path) -> None:
    (found,) = code(peer_system("copy=cp {in} {out}", [3]), clip, tmp_path)
    assert math.isnan(found.kbps)
    assert math.isnan(found.file_kbps)
    np.testing.assert_array_equal(found.audio, clip)


def test_a_peer_runs_for_each_rate_and_its_file_gives_the_real_one(clip: np.ndarray, tmp_path: Path) -> None:
    line = "head -c {kbps}000 {in} > {file} && cp {in} {out}"
    found = code(peer_system(f"h=sh -c '{line}'", [6, 3]), np.concatenate([clip, clip]), tmp_path)
    assert [item.kbps for item in found] == [3, 6]
    # Two seconds of two channels: the places hold 6 and 12, of which 6000 bytes are 12 kbps a channel.
    assert [item.file_kbps for item in found] == [pytest.approx(12), pytest.approx(24)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "sh -c 'echo at once >&2; echo broken >&2; exit 3' {in} {out}",
            "sh failed with exit code 3: broken",
        ),
        ("false {in} {out}", "false failed with exit code 1 and said nothing"),
        ("true {in} {out}", "true left no audio that can be read: its output does not exist"),
        ("sh -c 'echo noise > {out}' {in}", "sh left no audio that can be read"),
        ("sh -c 'head -c 20000 {in} > {out}'", "sh left no audio that can be read: its output is cut short"),
    ],
)
def test_a_peer_that_fails_says_how(clip: np.ndarray, tmp_path: Path, line: str, said: str) -> None:
    (found,) = code(peer_system(f"x={line}", []), clip, tmp_path)
    assert found.audio is None
    assert said in found.error
    assert str(tmp_path) not in found.error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cp {in} {out}", r"no peer: write name=command \{in\} \{out\}"),
        ("=cp {in} {out}", "no peer"),
        ("x=cp {in}", r"has no \{out\}"),
        ("x=cp a {out}", r"has no \{in\}"),
        ("x=", r"has no \{in\}"),
        ("x=cp {in} {out} {rate}", r"has \{rate\}, and only"),
        ("x=cp '{in} {out}", "cannot be read: no closing quotation"),
    ],
)
def test_a_bad_command_is_one_clear_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        peer_system(text, [])
    assert "\n" not in str(error.value)


def test_a_model_is_encoded_once_and_decoded_at_each_rate(
    clip: np.ndarray, tmp_path: Path, model: codec.Codec
) -> None:
    (system,) = model_systems([None], [6, 0.5])
    found = code(system, clip, tmp_path)
    assert [item.kbps for item in found] == [0.5, 6]
    for item in found:
        expected = model.decode(model.encode(clip, RATE, kbps=item.kbps))
        np.testing.assert_array_equal(item.audio, expected)
        assert item.kbps / 2 < item.file_kbps < item.kbps + 0.5


@pytest.mark.parametrize(
    ("kbps", "own"), [([1, 1.2, 1.4], (1, 1.4)), ([8, 3], (3, 8)), (None, (0.5, 1, 1.5, 3, 6, 8))]
)
def test_rates_that_mean_the_same_codebooks_are_one(
    kbps: Sequence[float] | None, own: tuple[float, ...]
) -> None:
    assert model_systems([None], kbps)[0].kbps == own


def test_rates_and_names_must_make_sense() -> None:
    with pytest.raises(ConfigError, match=r"99 kbps is not available"):
        model_systems([None], [3, 99])
    with pytest.raises(ConfigError, match="given twice"):
        model_systems([None, "speech-16k"], [3])
    with pytest.raises(ConfigError, match="Two systems are called opus"):
        check_names([opus_system(), peer_system("opus=cp {in} {out}", [])])
