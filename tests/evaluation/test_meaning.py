"""What codes tell of the sound: found where it was planted, and not where chance alone is at work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from codec.audio import AudioWriter
from codec.errors import AudioError
from codec.evaluation.meaning import Meaning, MeaningCheck, _at_frames
from codec.quantize import TopKConfig, build_quantizer
from tests.networks import SPECTRAL, small_network

RATE = SPECTRAL.sample_rate


def clips(folder: Path, number: int, seconds: float = 3.0) -> list[str]:
    """Noise whose loudness changes every tenth of a second."""
    rng = np.random.default_rng(0)
    names = []
    for i in range(number):
        n = round(seconds * RATE)
        loudness = 10 ** rng.uniform(-3, -0.5, size=n * 10 // RATE).repeat(RATE // 10)
        x = (loudness * rng.standard_normal(n)).clip(-1, 1)
        names.append(str(folder / f"{i}.wav"))
        with AudioWriter(names[-1], RATE, 1) as writer:
            writer.write(x[None].astype(np.float32))
    return names


@pytest.fixture(scope="module")
def meaning(tmp_path_factory: pytest.TempPathFactory) -> Meaning:
    check = MeaningCheck(small_network())
    assert list(check.add(clips(tmp_path_factory.mktemp("clips"), 6))) == [None] * 6
    return check.meaning()


def test_codes_tell_of_the_energy_that_was_planted_and_of_nothing_else(meaning: Meaning) -> None:
    first = meaning.stages[0].told
    assert first["energy"].bits > 0.3
    assert first["energy"].bits > 2 * first["energy"].chance
    # White noise has no spectral shape to tell of, though the plain figure says otherwise.
    assert abs(first["units"].bits) < 0.1 < first["units"].chance
    assert first["energy"].most == pytest.approx(3, abs=0.01)  # eight bins
    assert meaning.recordings == 6
    assert meaning.frames == 6 * 600


def test_stability_is_told_beside_its_chance(meaning: Meaning) -> None:
    for stage in meaning.stages:
        assert 1 / stage.size <= stage.stable_by_chance < 1
        assert all(0 <= share <= 1 for share in stage.stable)
        # White noise 40 dB below keeps more codes than chance would.
        assert stage.stable[2] > stage.stable_by_chance


def test_two_halves_of_the_same_do_not_alarm_and_loudness_that_varies_is_not_normal(meaning: Meaning) -> None:
    assert meaning.halves.p_value > 0.05
    assert meaning.normal.p_value < 0.01
    assert meaning.tested_frames == 6 * 6


def test_a_codebook_that_does_not_fit_is_seen(tmp_path: Path) -> None:
    network, names = small_network(), clips(tmp_path, 4)
    fits = []
    for off in (0.0, 30.0):
        with torch.no_grad():
            network.quantizer.stages[0].codebook.add_(off)  # type: ignore[union-attr,index]
        check = MeaningCheck(network)
        list(check.add(names))
        fits.append(check.meaning().stages[0].fit)
    fine, planted = fits
    assert fine is not None
    assert planted is not None
    assert planted.statistic > fine.statistic + 0.2
    assert planted.p_value < 0.001


def test_codes_that_only_decode_together_have_no_fit(tmp_path: Path) -> None:
    network = small_network()
    network.quantizer = build_quantizer(TopKConfig(codebook_size=64, k=4), SPECTRAL.latent_dim).eval()
    check = MeaningCheck(network)
    list(check.add(clips(tmp_path, 4)))
    assert all(stage.fit is None for stage in check.meaning().stages)


def test_too_little_and_what_is_no_recording_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    check = MeaningCheck(small_network())
    (error,) = check.add([str(tmp_path / "bad.wav")])
    assert isinstance(error, AudioError)
    with pytest.raises(AudioError, match="too few"):
        check.meaning()


def test_a_quantity_is_taken_at_the_middle_of_a_frame() -> None:
    values = np.arange(10.0)
    assert _at_frames(values, 0.01, 4, 0.02).tolist() == [1, 3, 5, 7]
    assert np.isnan(_at_frames(np.zeros(0), 0.01, 2, 0.02)).all()
