"""Foreign programs, run once, with one clear sentence for everything that can go wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

import numpy as np

from codec.audio import AudioWriter, read_audio
from codec.errors import AudioError, ConfigError

_SECONDS = 600


def require(program: str, hint: str) -> None:
    """Raises ConfigError unless the program can be run; `hint` says what to do about it."""
    if shutil.which(program) is None:
        raise ConfigError(f"The program {program} is not there to be run: {hint}.")


def run(command: Sequence[str]) -> str:
    """What the command prints on standard output; raises ConfigError when it fails or takes ten minutes."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        said = f": {lines[-1].strip()}" if lines else " and said nothing"
        raise ConfigError(f"{command[0]} failed with exit code {error.returncode}{said}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{command[0]} was stopped: it took more than {_SECONDS} seconds") from None
    except OSError as error:
        raise ConfigError(f"{command[0]} cannot be run: {(error.strerror or '').lower()}") from None
    return done.stdout.decode(errors="replace")


def write_wav(path: str, audio: np.ndarray, sample_rate: int) -> None:
    """Writes float32 `[channels, samples]` as the WAV of 16 bits that every program reads."""
    with AudioWriter(path, sample_rate, len(audio)) as writer:
        writer.write(audio)


def read_wav(path: str, program: str) -> tuple[np.ndarray, int]:
    """The audio that the program left there; raises AudioError without the path, which is a temporary one."""
    try:
        return read_audio(path)
    except AudioError as error:
        reason = str(error).replace(path, "its output").rstrip(".")
        raise AudioError(f"{program} left no audio that can be read: {reason}") from None
