"""Make the recordings of this folder again: `python samples/make_samples.py` (needs espeak-ng on the PATH).

Nothing comes from anywhere else: the voices are espeak-ng's, reading sentences written for this purpose; the
music is arithmetic.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr  # type: ignore[import-untyped]

FOLDER = Path(__file__).resolve().parent
SPEECH_RATE = 16_000
MUSIC_RATE = 24_000
STEREO_RATE = 44_100

ENGLISH = "A small codec listens once, keeps a handful of numbers, and later tells the same story again."
GERMAN = "Am Abend legt sich der Wind, und über dem stillen See hört man nur noch ein fernes Ruderboot."


def main() -> None:
    """Write all recordings, and print what each is."""
    english = speech(ENGLISH, voice="en-gb+m3", words_per_minute=180)
    german = speech(GERMAN, voice="de+f2", words_per_minute=165)
    write("voice_a.flac", english, SPEECH_RATE)
    write("voice_b.flac", german, SPEECH_RATE)
    write("music.flac", music(5.0, MUSIC_RATE), MUSIC_RATE)
    write("silence.wav", np.zeros(2 * SPEECH_RATE), SPEECH_RATE)
    write("stereo_44k.wav", stereo(english, 3.0), STEREO_RATE)


def speech(text: str, voice: str, words_per_minute: int) -> np.ndarray:
    """espeak-ng reading `text`, as float64 `[samples]` at SPEECH_RATE with a peak of 0.7."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    # espeak-ng cannot know the length when it writes the header, so the samples after it count.
    start = wav.index(b"data") + 8
    rate = int.from_bytes(wav[24:28], "little")
    raw, _ = soundfile.read(
        io.BytesIO(wav[start:]), format="RAW", subtype="PCM_16", channels=1, samplerate=rate, endian="LITTLE"
    )
    x = soxr.resample(raw, rate, SPEECH_RATE)
    return fade(0.7 * x / np.abs(x).max(), SPEECH_RATE)


def music(seconds: float, rate: int) -> np.ndarray:
    """Chords, a plucked melody and percussion, as float64 `[samples]` with a peak of 0.8."""
    n = round(seconds * rate)
    x = np.zeros(n)
    beat = 0.5
    chords = [(57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62)]
    melody = [76, 72, 74, 69, 72, 77, 76, 72, 74, 71]
    for bar in range(int(seconds / (2 * beat)) + 1):
        for pitch in chords[bar % len(chords)]:
            add(x, 0.10 * pad(pitch, 2 * beat, rate), bar * 2 * beat, rate)
    for step, pitch in enumerate(melody):
        add(x, 0.30 * pluck(pitch, 1.2, rate), step * beat, rate)
    random = np.random.default_rng(7)
    for half_beat in range(int(seconds / (beat / 2))):
        at = half_beat * beat / 2
        if half_beat % 4 == 0:
            add(x, 0.55 * kick(rate), at, rate)
        add(x, (0.16 if half_beat % 2 else 0.06) * hat(rate, random), at, rate)
    return fade(0.8 * x / np.abs(x).max(), rate)


def stereo(voice: np.ndarray, seconds: float) -> np.ndarray:
    """The voice mostly left and the music mostly right, as float64 `[samples, 2]` at STEREO_RATE."""
    n = round(seconds * STEREO_RATE)
    left = soxr.resample(voice, SPEECH_RATE, STEREO_RATE)[:n]
    right = music(seconds, STEREO_RATE)[:n]
    mixed = np.stack([0.8 * left + 0.1 * right, 0.1 * left + 0.6 * right], axis=1)
    return fade(mixed, STEREO_RATE)


def frequency(pitch: int) -> float:
    """Hz of a MIDI note number, equal temperament with A4 = 69 = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69) / 12))


def pad(pitch: int, seconds: float, rate: int) -> np.ndarray:
    """A soft tone of five harmonics with a slow attack."""
    t = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * frequency(pitch) * k * t) / k**1.5 for k in range(1, 6))
    return np.asarray(tone * np.minimum(1, t / 0.08) * np.minimum(1, (seconds - t) / 0.08))


def pluck(pitch: int, seconds: float, rate: int) -> np.ndarray:
    """A string-like tone whose higher harmonics die away sooner."""
    t = np.arange(round(seconds * rate)) / rate
    harmonics = [k for k in range(1, 13) if k * frequency(pitch) < 0.45 * rate]
    tone = sum(
        np.sin(2 * np.pi * frequency(pitch) * k * t) * np.exp(-t * (2.5 + 1.5 * k)) / k for k in harmonics
    )
    return np.asarray(tone * np.minimum(1, t / 0.003))


def kick(rate: int) -> np.ndarray:
    """A drum: a sine that falls from 130 to 50 Hz."""
    t = np.arange(round(0.25 * rate)) / rate
    phase = 2 * np.pi * (50 * t + 80 * 0.03 * (1 - np.exp(-t / 0.03)))
    return np.asarray(np.sin(phase) * np.exp(-t / 0.07))


def hat(rate: int, random: np.random.Generator) -> np.ndarray:
    """A cymbal: a burst of noise with more treble than bass."""
    n = round(0.06 * rate)
    burst = np.diff(random.standard_normal(n + 1))
    return np.asarray(burst * np.exp(-np.arange(n) / rate / 0.015))


def add(x: np.ndarray, sound: np.ndarray, seconds: float, rate: int) -> None:
    """Mix `sound` into `x` from `seconds` on, as far as `x` reaches."""
    start = round(seconds * rate)
    room = max(0, len(x) - start)
    x[start : start + len(sound)] += sound[:room]


def fade(x: np.ndarray, rate: int) -> np.ndarray:
    """The signal `[samples]` or `[samples, channels]` with 10 ms of fade at both ends."""
    n = rate // 100
    gain = np.ones(len(x))
    gain[:n] = np.arange(n) / n
    gain[-n:] = gain[:n][::-1]
    return (x.T * gain).T


def write(name: str, x: np.ndarray, rate: int) -> None:
    """Write `[samples]` or `[samples, channels]` as 16 bits, in the format that the suffix of `name` says."""
    path = FOLDER / name
    soundfile.write(path, np.rint(x * 32767).astype(np.int16), rate, subtype="PCM_16")
    print(f"{name}: {len(x) / rate:.2f} s, {rate} Hz, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
