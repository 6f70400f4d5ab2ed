"""The worked example runs from one command to audio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from codec.audio import read_audio
from codec.sequence.tokenizer import CodecTokenizer
from tests.conftest import SAMPLES


def test_the_speech_lm_recipe_runs_end_to_end(tmp_path: Path) -> None:
    script = SAMPLES.parent / "recipes/speech_lm/run.py"
    options = [
        "--data",
        str(SAMPLES),
        "--out",
        str(tmp_path),
        "--steps",
        "12",
        "--batch",
        "4",
        "--seconds",
        "0.4",
    ]
    done = subprocess.run(
        [sys.executable, str(script), *options],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    bits = json.loads((tmp_path / "results.json").read_text())
    assert bits["plain packing"] == [10.0] * 3
    # A dozen steps teach it little, but that it has 1,024 codes to choose from.
    assert 5 < sum(bits["language model"]) / 3 < 10.3
    audio, rate = read_audio(tmp_path / "continued.wav")
    assert rate == 16000
    # A second that was given and 0.4 s, of which the last steps are still on their way in the delay pattern.
    assert 1.3 < audio.shape[1] / rate <= 1.4
    assert CodecTokenizer.from_pretrained(tmp_path).vocab_size == 1027
