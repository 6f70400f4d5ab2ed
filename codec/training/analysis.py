"""What a recording is worth for training: length, bandwidth, clipping, silence, noise. Bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.audio import AudioReader
from codec.errors import AudioError

_BLOCK_SECONDS = 10
_FRAME_SECONDS = 0.02
_MAX_SPECTRA = 2048
_FLOOR_DB = -120.0
_DIGITAL_SILENCE_DB = -90.0
_ACTIVE_DB = 40.0
_BANDWIDTH_DB = 65.0
_FULL_SCALE = 0.98
_FLAT = 1e-4


@dataclass(frozen=True)
class Analysis:
    """Measurements of one recording; all levels are of the mix of its channels.

    seconds: length. rate: Hz. channels: how many.
    bandwidth: the highest frequency in Hz whose 98th percentile of power, over active frames, is within 65 dB
    of the peak of that spectrum. clipping: share of samples that lie flat against full scale (0.98 or more,
    as a neighbour). silence: share of frames of 20 ms more than 40 dB below the loud ones. level: of active
    frames in dB below full scale. snr: 95th above 5th percentile of the frames' energies in dB, digital
    silence left out: low for noisy recordings, and for those without any pause.
    """

    seconds: float
    rate: int
    channels: int
    bandwidth: float
    clipping: float
    silence: float
    level: float
    snr: float


def analyse(path: Path) -> Analysis:
    """Measures a recording.

    Raises:
        AudioError: it cannot be decoded to its end, or holds no samples.
    """
    with AudioReader(path) as reader:
        rate = reader.sample_rate
        frame = max(1, round(_FRAME_SECONDS * rate))
        # Windows of 20 to 40 ms: 512 samples at 16 kHz, 1024 at 44.1 and 48 kHz.
        spectra = _Spectra(2 ** max(4, math.ceil(math.log2(0.02 * rate))))
        energies: list[np.ndarray] = []
        count = clipped = 0
        rest = np.zeros(0, np.float32)
        # Whole frames a block, so that only the last one is cut.
        for block in reader.blocks(frame * round(_BLOCK_SECONDS / _FRAME_SECONDS)):
            count += block.shape[1]
            clipped += _flat_tops(block)
            mono = block.mean(axis=0)
            whole = len(mono) // frame * frame
            energies.append(np.mean(mono[:whole].reshape(-1, frame) ** 2, axis=1))
            rest = mono[whole:]
            spectra.add(mono)
        channels = reader.channels
    if count == 0:
        raise AudioError(f"{path} holds no samples: leave it out.")
    if count < frame:
        energies.append(np.mean(rest**2, keepdims=True))
    levels = _db(np.concatenate(energies))
    loud = float(np.percentile(levels, 95))
    active = levels > max(loud - _ACTIVE_DB, _DIGITAL_SILENCE_DB)
    audible = levels[levels > _DIGITAL_SILENCE_DB]
    return Analysis(
        seconds=count / rate,
        rate=rate,
        channels=channels,
        bandwidth=spectra.bandwidth(rate),
        clipping=clipped / (count * channels),
        silence=1 - float(active.mean()),
        level=float(_db(np.mean(10 ** (levels[active] / 10)))) if active.any() else _FLOOR_DB,
        snr=float(np.percentile(audible, 95) - np.percentile(audible, 5)) if len(audible) else 0.0,
    )


def _db(power: np.ndarray | np.floating) -> np.ndarray:
    decibels: np.ndarray = 10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10)))
    return decibels


def _flat_tops(x: np.ndarray) -> int:
    """Samples of `[channels, samples]` at full scale beside one of the same value: one peak alone is none."""
    if x.shape[1] < 2 or float(np.abs(x).max()) < _FULL_SCALE:
        return 0
    same = (np.abs(np.diff(x, axis=1)) < _FLAT) & (np.abs(x[:, 1:]) >= _FULL_SCALE)
    flat = np.zeros(x.shape, dtype=bool)
    flat[:, 1:] |= same
    flat[:, :-1] |= same
    return int(flat.sum())


class _Spectra:
    """Power spectra of windows spread evenly over a recording of unknown length, at most 2048 of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        # Four terms of Blackman and Harris: sidelobes 92 dB down, below what is looked for.
        phase = 2 * np.pi * np.arange(size) / size
        self._window = (
            0.35875 - 0.48829 * np.cos(phase) + 0.14128 * np.cos(2 * phase) - 0.01168 * np.cos(3 * phase)
        ).astype(np.float32)
        self._kept: list[np.ndarray] = []
        self._stride, self._seen, self._rest = 1, 0, np.zeros(0, np.float32)

    def add(self, mono: np.ndarray) -> None:
        mono = np.concatenate([self._rest, mono])
        windows = mono[: len(mono) // self._size * self._size].reshape(-1, self._size)
        self._rest = mono[windows.size :]
        wanted = np.arange(self._seen, self._seen + len(windows)) % self._stride == 0
        self._seen += len(windows)
        power = np.abs(np.fft.rfft(windows[wanted] * self._window)) ** 2
        self._kept.extend(power.astype(np.float32))
        while len(self._kept) > _MAX_SPECTRA:
            self._kept, self._stride = self._kept[::2], 2 * self._stride

    def bandwidth(self, rate: int) -> float:
        """In Hz; 0 for silence."""
        if not self._kept:
            padded = np.pad(self._rest, (0, self._size - len(self._rest)))
            self._kept.append(np.abs(np.fft.rfft(padded * self._window)) ** 2)
        power = np.stack(self._kept)
        level = _db(power.mean(axis=1))
        active = level > max(float(np.percentile(level, 95)) - _ACTIVE_DB, _FLOOR_DB + 1)
        if not active.any():
            return 0.0
        high = _db(np.percentile(power[active], 98, axis=0))
        return float(np.flatnonzero(high >= high.max() - _BANDWIDTH_DB)[-1] * rate / self._size)
