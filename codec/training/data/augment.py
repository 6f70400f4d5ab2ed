"""Changes to training segments that make them more varied than the corpus; each is off until it is asked for.

What is returned is both the input and the target of the codec, which shall reproduce noise and rooms as they
are. All randomness comes from the generator that is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from codec.errors import ConfigError
from codec.loudness import lufs, rms_db
from codec.training.data.formants import move_formants

_PEAK = 0.99
_QUIET = -70.0
Range = tuple[float, float]


@dataclass(frozen=True)
class AugmentConfig:
    """Every key is off when null, 0 or false; a pair is a range that each segment draws from.

    speed: greatest factor of a random playback speed, up or down; 1.1 makes other voices (0: off).
    formants: greatest factor of a random shift of formants, up or down, at the same pitch (0: off).
    gain_db: range of the gain in dB. polarity: negate half of the segments.
    band_limit_hz: range of the cutoff of a low-pass in Hz, drawn on a logarithmic scale.
    noise_db: range of the signal-to-noise ratio in dB of added noise, white to brown.
    reverb: range in seconds of the time in which an artificial room decays by 60 dB.
    loudness_lufs, loudness_rms_db: bring segments to this loudness (ITU-R BS.1770) or RMS level (dB below
    full scale), a number or a range. share: of the segments that get a shift of formants, a band limit,
    noise, a room, each.

    Raises:
        ConfigError: a range is upside down or outside what is possible.
    """

    speed: float | None = None
    formants: float | None = None
    gain_db: Range | None = None
    polarity: bool = False
    band_limit_hz: Range | None = None
    noise_db: Range | None = None
    reverb: Range | None = None
    loudness_lufs: float | Range | None = None
    loudness_rms_db: float | Range | None = None
    share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("speed", "formants"):
            factor = getattr(self, name)
            if factor and not 1 <= factor <= 4:
                raise ConfigError(f"augment.{name} is {factor}: use a factor from 1 to 4, or 0 for none.")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"augment.share is {self.share}: use a number from 0 to 1.")
        if self.loudness_lufs and self.loudness_rms_db:
            raise ConfigError("Give either augment.loudness_lufs or augment.loudness_rms_db, not both.")
        positive = ("band_limit_hz", "reverb")
        for name in ("gain_db", "noise_db", "loudness_lufs", "loudness_rms_db", *positive):
            value = _range(getattr(self, name))
            if value is None:
                continue
            if value[0] > value[1] or (name in positive and value[0] <= 0):
                raise ConfigError(
                    f"augment.{name} is {value}: give the smaller number first"
                    + (", above 0." if name in positive else ".")
                )
            if name.startswith("loudness") and value[1] > 0:
                raise ConfigError(f"augment.{name} is {value}: full scale is 0, so use numbers below.")


def _factor(limit: float, rng: np.random.Generator) -> float:
    """Between 1 / limit and limit, as often below 1 as above."""
    return float(np.exp(rng.uniform(-1, 1) * np.log(limit)))


def _range(value: Any) -> Range | None:
    if not value:
        return None
    return (value, value) if isinstance(value, int | float) else (value[0], value[1])


class Augment:
    """Applies a config to segments `[channels, samples]` at `sample_rate` Hz.

    The order is that of a recording: voice, room, noise, bandwidth, level. Where anything was changed, the
    peak stays at or below 0.99.
    """

    def __init__(self, config: AugmentConfig, sample_rate: int) -> None:
        self.config = config
        self.sample_rate = sample_rate

    def speed(self, rng: np.random.Generator) -> float:
        """A random playback speed; 1 where that is off."""
        return _factor(self.config.speed, rng) if self.config.speed else 1.0

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of float32 `[channels, samples]`."""
        config, before = self.config, x
        if config.formants and rng.random() < config.share:
            x = move_formants(x, _factor(config.formants, rng), self.sample_rate)
        if (times := _range(config.reverb)) and rng.random() < config.share:
            x = reverberate(x, room(rng.uniform(*times), self.sample_rate, rng))
        if (ratios := _range(config.noise_db)) and rng.random() < config.share:
            x = add_noise(x, rng.uniform(*ratios), rng)
        if (cutoffs := _range(config.band_limit_hz)) and rng.random() < config.share:
            x = band_limit(x, float(np.exp(rng.uniform(*np.log(cutoffs)))), self.sample_rate)
        level = 0.0
        if wanted := _range(config.loudness_lufs):
            level += _difference(rng.uniform(*wanted), lufs(x, self.sample_rate))
        if wanted := _range(config.loudness_rms_db):
            level += _difference(rng.uniform(*wanted), rms_db(x))
        if config.gain_db:
            level += rng.uniform(*config.gain_db)
        if level:
            x = x * np.float32(10 ** (level / 20))
        if config.polarity and rng.random() < 0.5:
            x = -x
        peak = float(np.abs(x).max(initial=0))
        if x is not before and peak > _PEAK:
            x = x * np.float32(_PEAK / peak)
        return np.ascontiguousarray(x, dtype=np.float32)


def _difference(wanted: float, measured: float) -> float:
    """Gain in dB; silence stays silence."""
    return wanted - measured if measured > _QUIET else 0.0


def band_limit(x: np.ndarray, cutoff: float, sample_rate: int) -> np.ndarray:
    """`[channels, samples]` without what lies above `cutoff` Hz; zero phase, -6 dB at the cutoff."""
    n = x.shape[-1]
    padded = n + min(n, 4096)  # the filter rings over the end, which must not come back at the start
    frequency = np.fft.rfftfreq(padded, 1 / sample_rate)
    # A raised cosine over a tenth of the cutoff to each side: steep, but without ringing for long.
    position = np.clip((frequency / cutoff - 0.9) / 0.2, 0, 1)
    spectrum = np.fft.rfft(x, padded) * (0.5 + 0.5 * np.cos(np.pi * position))
    return np.fft.irfft(spectrum, padded)[..., :n].astype(np.float32)


def add_noise(x: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """`[channels, samples]` plus noise of a random colour, `snr_db` below the segment's own level."""
    n = x.shape[-1]
    spectrum = np.fft.rfft(rng.standard_normal(x.shape))
    # Power falls as 1/f**a, with a = 0 (white) to 2 (brown).
    spectrum *= np.maximum(np.arange(spectrum.shape[-1]), 1) ** (-rng.uniform(0, 2) / 2)
    noise = np.fft.irfft(spectrum, n)
    scale = np.sqrt(np.mean(x**2) / max(float(np.mean(noise**2)), 1e-20) / 10 ** (snr_db / 10))
    return (x + scale * noise).astype(np.float32)


def room(seconds: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """An artificial room `[samples]`: the direct sound, then noise that decays by 60 dB in `seconds`.

    Its energy is 0 to 12 dB below that of the direct sound, at random.
    """
    n = max(2, round(seconds * sample_rate))
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail[0] = 0
    tail *= 10 ** (-rng.uniform(0, 12) / 20) / max(float(np.sqrt(np.sum(tail**2))), 1e-12)
    tail[0] = 1
    return tail


def reverberate(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    """`[channels, samples]` convolved with a room's response, cut to the same length."""
    n = x.shape[-1]
    size = n + len(response) - 1
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)[..., :n].astype(np.float32)
