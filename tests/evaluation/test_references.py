"""Metrics agree with reference implementations on decoded speech."""

from __future__ import annotations

import librosa
import numpy as np
import pesq
import pystoi
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio
from visqol import VisqolApi

import codec
from codec.evaluation.measure import Original
from codec.evaluation.metrics import si_sdr

RATE = 16000


@pytest.fixture(scope="module")
def clip(speech: np.ndarray) -> np.ndarray:
    return speech[: 4 * RATE]


@pytest.fixture(scope="module")
def decoded(clip: np.ndarray, model: codec.Codec) -> np.ndarray:
    return model.decode(model.encode(clip, RATE, kbps=3))[0]


@pytest.fixture(scope="module")
def values(clip: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    found, failures = Original(clip[None], RATE).measure(decoded[None])
    assert set(failures) <= {"f0_cents"}
    return found


def dac_mel_distance_by_torch(x: np.ndarray, y: np.ndarray) -> float:
    """As section 3.5 of the paper and its configuration have it, by torch and librosa."""
    total = 0.0
    for window, bands in zip((32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320), strict=True):
        filters = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=window, n_mels=bands))
        logs = []
        for signal in (x, y):
            spectrum = torch.stft(
                torch.from_numpy(signal),
                window,
                window // 4,
                window=torch.hann_window(window),
                return_complex=True,
            )
            logs.append((filters @ spectrum.abs()).clamp(1e-5).log10())
        total += (logs[0] - logs[1]).abs().mean().item()
    return total


def test_the_mel_distance_is_that_of_dac(
    clip: np.ndarray, decoded: np.ndarray, values: dict[str, float]
) -> None:
    assert values["mel_distance"] == pytest.approx(dac_mel_distance_by_torch(clip, decoded), rel=1e-4)


def test_si_sdr_is_that_of_torchmetrics(
    clip: np.ndarray, decoded: np.ndarray, values: dict[str, float]
) -> None:
    def expected(x: np.ndarray) -> float:
        made, target = (torch.from_numpy(signal.astype(np.float64)) for signal in (x, clip))
        return scale_invariant_signal_distortion_ratio(made, target, zero_mean=True).item()

    assert values["si_sdr"] == pytest.approx(expected(decoded), abs=1e-6)
    noise = np.random.default_rng(0).standard_normal(len(clip))
    for level in (0.001, 0.1, 3.0):
        noisy = 0.3 * clip + level * noise + 0.1
        assert si_sdr(clip, noisy) == pytest.approx(expected(noisy), abs=1e-6)


def test_pesq_stoi_and_estoi_are_those_of_their_packages(
    clip: np.ndarray, decoded: np.ndarray, values: dict[str, float]
) -> None:
    # Not equal to the last bit: the order in which numpy adds depends on where arrays lie in memory.
    assert values["pesq_wb"] == pytest.approx(pesq.pesq(RATE, clip, decoded, "wb"), rel=1e-9)
    assert values["stoi"] == pytest.approx(pystoi.stoi(clip, decoded, RATE), rel=1e-9)
    assert values["estoi"] == pytest.approx(pystoi.stoi(clip, decoded, RATE, extended=True), rel=1e-9)
    assert values["estoi"] < values["stoi"]


def test_visqol_is_that_of_its_package_with_the_lattice_network(
    clip: np.ndarray, decoded: np.ndarray, values: dict[str, float]
) -> None:
    api = VisqolApi()
    api.create(mode="speech", use_lattice_model=True)
    expected = api.measure_from_arrays(clip, decoded, RATE).moslqo
    assert values["visqol"] == pytest.approx(expected, abs=1e-6)


def test_the_log_spectral_distance_is_that_of_librosas_spectra(
    clip: np.ndarray, decoded: np.ndarray, values: dict[str, float]
) -> None:
    window = librosa.filters.get_window("hann", 512)
    a, b = (
        librosa.amplitude_to_db(
            np.abs(librosa.stft(x.astype(np.float64), n_fft=512, hop_length=128, pad_mode="constant"))
            * 2
            / window.sum(),
            amin=1e-4,
            top_db=None,
        )
        for x in (clip, decoded)
    )
    expected = np.sqrt(np.square(a - b).mean(axis=0)).mean()
    assert values["log_spectral"] == pytest.approx(expected, rel=1e-3)
