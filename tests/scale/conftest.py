"""A small corpus of real speech, and the way to tokenize it in this process."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from codec import shipped
from codec.scale.encoding import Rate
from codec.scale.engines import Engine, LocalEngine
from codec.scale.formats import Format
from codec.scale.job import ModelChoice
from codec.scale.listing import list_items
from codec.scale.run import Progress, plan, run

ONNX = ModelChoice(str(shipped.resolve(None)), "cpu", "onnx")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Path:
    """24 clips of two speakers, from 20 ms to 13 s, of which some have other rates or two channels."""
    folder = tmp_path_factory.mktemp("corpus")
    lengths = np.random.default_rng(0).integers(320, 16000, 23)
    for number, length in enumerate([*lengths.tolist(), 13 * 16000]):
        x = np.concatenate([speech, speech])[500 * number : 500 * number + length]
        rate = {3: 8000, 5: 44100}.get(number, 16000)
        path = folder / f"speaker_{number % 2}" / f"{number:02d}.{'flac' if number % 3 else 'wav'}"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.stack([x, -x], axis=1) if number == 7 else x, rate)
    return folder


def tokenize(
    source: Path | str,
    folder: Path,
    *,
    engine: Engine | None = None,
    format: Format = Format.parquet,
    per_shard: int | None = 4,
    **options: Any,
) -> Progress:
    """Tokenizes at 1.5 kbps, by default in this process and in several shards."""
    items = list_items([str(source)])
    job, shards = plan(
        items, str(folder), format=format, model=ONNX, rate=Rate(kbps=1.5), per_shard=per_shard
    )
    return run(job, shards, engine or LocalEngine(1), **options)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with the hash of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def errors(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "errors.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """The corpus as Parquet, by an undisturbed run of one process."""
    folder = tmp_path_factory.mktemp("dataset") / "out"
    tokenize(corpus, folder)
    return folder
