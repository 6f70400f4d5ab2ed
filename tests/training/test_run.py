"""Training by the debug recipe, from the command to a model that encodes."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import codec
from codec.models import store
from codec.training.run import run

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "speech_16k_debug.yaml"
NAME = "speech-16k-debug"


def train(folder: Path, *options: str) -> Path:
    """Runs the recipe into folder; returns the run's own folder."""
    precision = torch.get_float32_matmul_precision()
    before = set(folder.glob("version_*"))
    try:
        run(
            [
                str(RECIPE),
                f"--data.root={ROOT / 'samples'}",
                f"--data.valid_root={ROOT / 'samples'}",
                f"--trainer.default_root_dir={folder}",
                f"--trainer.logger.init_args.save_dir={folder}",
                "--trainer.enable_progress_bar=false",
                *options,
            ]
        )
    finally:
        torch.set_float32_matmul_precision(precision)
    (made,) = set(folder.glob("version_*")) - before
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run"))


def rows(folder: Path, column: str) -> dict[int, float]:
    with (folder / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[column]) for row in csv.DictReader(file) if row.get(column)}


def test_the_debug_recipe_makes_a_model_that_encodes(trained: Path, speech: np.ndarray) -> None:
    model = codec.load(trained)
    assert model.name == NAME
    tokens = model.encode(speech[:16000], 16000)
    assert tokens.codes.shape == (1, 4, 51)
    assert len(np.unique(tokens.codes)) > 10
    audio = model.decode(tokens)
    assert audio.shape == (1, 16000)
    assert np.isfinite(audio).all()
    assert float(np.corrcoef(audio[0], speech[:16000])[0, 1]) > 0.2


def test_every_term_is_logged(trained: Path) -> None:
    for column in ("loss/mel", "loss/complex", "loss/commitment", "gradient/mel", "perplexity/03", "rate"):
        assert len(rows(trained, column)) >= 5, column
    for column in ("loss/adversarial", "loss/feature", "loss/discriminator"):
        assert min(rows(trained, column)) >= 6, f"{column} before the discriminators start"
    for column in ("valid/mel@0.3", "valid/mel@1.2", "valid/stoi@1.2", "valid/si_sdr@1.2"):
        assert rows(trained, column), column


def test_training_ends_with_the_last_steps_exported(trained: Path) -> None:
    """24 steps are an epoch of 16 and half of another one, after which there is no validation of its own."""
    state = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=False)
    assert state["global_step"] == 24
    network, _ = store.load(trained / f"{NAME}.safetensors")
    for name, weight in network.named_parameters():
        torch.testing.assert_close(
            weight,
            state["state_dict"][f"average.{name}"].half().float(),
            msg=f"{name} is not of the last step",
        )


def test_a_resumed_run_goes_on_without_starting_again(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        train(tmp_path / "fresh", "--trainer.max_steps=1")
        assert "started from" in caplog.text
        caplog.clear()
        checkpoint = trained / "checkpoints" / "last.ckpt"
        resumed = train(tmp_path / "resumed", f"--ckpt_path={checkpoint}", "--trainer.max_steps=25")
        assert "started from" not in caplog.text
    before = torch.load(checkpoint, weights_only=False)["state_dict"]
    after, _ = store.load(resumed / f"{NAME}.safetensors")
    assert bool(before["started"])
    for name, weight in after.named_parameters():
        old = before[f"average.{name}"]
        change = float((weight.detach() - old).norm() / old.norm().clamp(min=1))
        assert change < 0.05, f"{name} changed by {change} in one step"


def test_a_missing_recipe_and_a_wrong_key_are_usage_errors(tmp_path: Path) -> None:
    for arguments in ([str(tmp_path / "none.yaml")], [str(RECIPE), "--model.codec.stride=3"]):
        with pytest.raises(SystemExit) as exit_:
            run(arguments)
        assert exit_.value.code == 2
