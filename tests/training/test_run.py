"""Training by a debug recipe, from the command to a model that encodes."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

import codec
from codec.errors import ConfigError, ModelError
from codec.models import store
from codec.training.callbacks import Stopped
from codec.training.run import run
from tests.training.runs import RECIPES, rows, steps_in, train, twin

NAME = "speech-16k-debug"
TWIN = twin("speech_16k")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ends in the middle of an epoch of 8 steps, after validations at 8 and 16."""
    return train(tmp_path_factory.mktemp("run"), TWIN, "--trainer.max_steps=20")


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
    for column in ("loss/mel", "loss/complex", "loss/commitment", "perplexity/03", "rate"):
        assert len(rows(trained, column)) >= 10, column
    for column in ("loss/adversarial", "loss/feature", "loss/discriminator"):
        assert min(rows(trained, column)) >= 6, f"{column} before the discriminators start"
    for column in ("valid/mel@0.3", "valid/mel@1.2", "valid/stoi@1.2", "valid/si_sdr@1.2"):
        assert len(rows(trained, column)) == 2, column


def test_tensorboard_has_curves_audio_and_spectrograms(trained: Path) -> None:
    board = EventAccumulator(str(trained)).Reload()
    tags = board.Tags()
    assert {"loss/mel", "valid/mel@0.3"} <= set(tags["scalars"])
    shown = {f"clip 0/{name}" for name in ("original", "0.3 kbps", "1.2 kbps")}
    assert set(tags["images"]) == set(tags["audio"]) == shown
    assert len(board.Images("clip 0/original")) == 1
    assert [event.step for event in board.Images("clip 0/1.2 kbps")] == [8, 16]
    image = board.Images("clip 0/1.2 kbps")[0]
    assert (image.height, image.width) == (513, 59)


def test_training_ends_with_the_last_steps_exported(trained: Path) -> None:
    state = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 20
    network, _ = store.load(trained / f"{NAME}.safetensors")
    for name, weight in network.named_parameters():
        torch.testing.assert_close(
            weight,
            state["state_dict"][f"average.{name}"].half().float(),
            msg=f"{name} is not of the last step",
        )


def test_the_summary_says_how_good_and_where(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = train(tmp_path, TWIN, "--trainer.max_steps=8")
    text, progress = capfd.readouterr()
    assert "Trained 8 steps" in text
    assert "pesq       1.2 kbps" in text
    assert f"codec encode --model {made} RECORDING" in text
    assert "step 1 of 8, mel" in progress


def test_the_newest_checkpoint_is_found(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`--ckpt_path last` starts afresh where there is none: a job's command is always the same."""
    root = trained.parent
    with caplog.at_level(logging.INFO):
        resumed = train(root, TWIN, "--ckpt_path=last", "--trainer.max_steps=21")
    assert "started from" not in caplog.text
    assert steps_in(resumed / "checkpoints" / "last.ckpt") == 21
    assert min(rows(resumed, "loss/mel")) >= 20


def test_without_a_checkpoint_last_means_a_new_run(tmp_path: Path) -> None:
    made = train(tmp_path, TWIN, "--ckpt_path=last", "--trainer.max_steps=1")
    assert steps_in(made / "checkpoints" / "last.ckpt") == 1


def test_kept_checkpoints_stay(tmp_path: Path) -> None:
    made = train(tmp_path, TWIN, "--trainer.max_steps=5", "--checkpoint.every_steps=2", "--checkpoint.keep=4")
    found = {path.name: steps_in(path) for path in (made / "checkpoints").iterdir()}
    assert found == {"last.ckpt": 5, "step_000004.ckpt": 4}


class StopInValidation(lightning.Callback):
    """As a pre-empted machine would, at the worst moment."""

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_stopped_in_a_validation_goes_on(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped:
        run([*TWIN, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_steps=10"], [StopInValidation()])
    assert (stopped.value.signal, stopped.value.step) == (signal.SIGTERM, 8)
    assert signal.getsignal(signal.SIGTERM) == before
    resumed = train(tmp_path, TWIN, "--ckpt_path=last", "--trainer.max_steps=10")
    assert sorted(rows(resumed, "loss/mel")) == [8, 9]


def test_a_checkpoint_of_another_architecture_is_refused(trained: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "last.ckpt"
    with pytest.raises(ModelError, match="width"):
        train(tmp_path, TWIN, f"--ckpt_path={checkpoint}", "--model.codec.network.width=372")
    with pytest.raises(ModelError, match="nowhere"):
        train(tmp_path, TWIN, "--ckpt_path=nowhere")
    (tmp_path / "bad.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match=r"bad\.ckpt"):
        train(tmp_path, TWIN, f"--ckpt_path={tmp_path / 'bad.ckpt'}")


def test_what_cannot_work_is_said_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"8000 Hz .* 16000 Hz"):
        train(tmp_path, TWIN, "--data.sample_rate=8000")
    with pytest.raises(ConfigError, match="9 kbps is not available"):
        train(tmp_path, TWIN, "--model.valid_kbps=[9.0]")
    with pytest.raises(ConfigError, match="sample_rate"):
        train(tmp_path, TWIN, "--data.sample_rate=5")
    with pytest.raises(ConfigError, match="share"):
        train(tmp_path, TWIN, "--data.augment.share=7")
    with pytest.raises(ConfigError, match="enable_checkpointing"):
        train(tmp_path, TWIN, "--trainer.enable_checkpointing=false")


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (
            "start_seconds",
            "start_secnds",
            "'start_secnds' is not a key of model: did you mean 'start_seconds'?",
        ),
        (
            "hop_length",
            "hop_lenght",
            "model.codec has the unknown key 'hop_lenght': did you mean 'hop_length'?",
        ),
        ("width: 384", "wdth: 384", "model.codec.network has the unknown key 'wdth': did you mean 'width'?"),
        ("\nmodel:", "\nmodell:", "'modell' is not a key of a recipe: did you mean 'model'?"),
        ("    segments:", "    batch_size: 3\n    segments:", "did you mean 'segments.batch_size'?"),
        ("every_steps", "evry_steps", "'evry_steps' is not a key of checkpoint: did you mean 'every_steps'?"),
        ("AudioFolder ", "AudioFoldr ", "no codec.training.data.AudioFoldr: did you mean AudioFolder?"),
        ("max_steps: 20000", "max_steps: many", "trainer.max_steps: Expected a int. Got value: many"),
        ("width: 384", "width: wide", "model.codec.network.width must be of type int, not 'wide'"),
        ("kind: spectral", "kind: spectrum", "unknown kind 'spectrum'; there are spectral, seanet, dac"),
        ("max_steps: 20000", "max_steps: [", "is not valid YAML"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line(
    old: str, new: str, hint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (RECIPES / "speech_16k.yaml").read_text()
    assert old in text
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace(old, new, 1))
    with pytest.raises(SystemExit) as exit_:
        run([str(recipe), "--print_config"])
    assert exit_.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("codec: ")
    assert hint in line


def test_the_distribution_of_latents_is_logged_where_asked_for(tmp_path: Path) -> None:
    train(tmp_path, TWIN, "--distribution.every_steps=2", "--trainer.max_steps=4")
    (metrics,) = tmp_path.glob("version_0/metrics.csv")
    assert "distribution/normal" in metrics.read_text().splitlines()[0]
