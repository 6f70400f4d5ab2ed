"""Stopping and going on: as if nothing had happened, or an error before anything does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from codec.errors import ModelError
from codec.models import SeanetConfig
from tests.training.small import CODEC, PERIOD, QUANTIZER, fit, judged, training


def saving(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, every_n_train_steps=6, save_top_k=-1, filename="{step}")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    fit(training(adversary=judged(2, probability=0.5)), 6, callbacks=[saving(folder)], validate=True)
    return folder / "step=6.ckpt"


@pytest.mark.parametrize(("validate", "matrices"), [(True, "adamw"), (False, "adamw"), (False, "muon")])
def test_a_resumed_run_repeats_the_uninterrupted_one(tmp_path: Path, validate: bool, matrices: Any) -> None:
    """Losses of all later steps, and every tensor at the end, to the last bit."""

    # The rates must not depend on where a run is stopped.
    optimizer = dataclasses.replace(training().optimizer, decay_steps=0, matrices=matrices)
    whole = training(adversary=judged(2, probability=0.5, period=PERIOD), optimizer=optimizer)
    _, expected = fit(whole, 12, callbacks=[saving(tmp_path / "whole")], validate=validate)
    stopped = training(adversary=judged(2, probability=0.5, period=PERIOD), optimizer=optimizer)
    fit(stopped, 6, callbacks=[saving(tmp_path / "stopped")], validate=validate)
    torch.manual_seed(99)  # another process has drawn other numbers
    resumed = training(adversary=judged(2, probability=0.5, period=PERIOD), optimizer=optimizer)
    resumed.seed = 99
    _, log = fit(
        resumed,
        12,
        callbacks=[saving(tmp_path / "resumed")],
        ckpt_path=tmp_path / "stopped" / "step=6.ckpt",
        validate=validate,
    )
    assert len(log.steps) == 6
    for before, after in zip(expected.steps[6:], log.steps, strict=True):
        names = {name for name in after if name.startswith(("loss/", "gradient/", "share/", "perplexity/"))}
        assert "loss/adversarial" in names
        # A column that this step did not write keeps what an earlier step wrote.
        assert {n: after[n] for n in names} == {n: before[n] for n in names}
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_checkpoint_holds_the_average_and_what_it_is_of(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    assert content["global_step"] == 6
    assert '"name": "small"' in content["codec"]
    assert any(name.startswith("average.decoder") for name in content["state_dict"])
    assert len(content["optimizer_states"]) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"latent_dim": 24}, "codec.latent_dim is 16 there and 24"),
        ({"network": SeanetConfig(channels=2, ratios=(8, 5, 2))}, "codec.network"),
        ({"quantizer": dataclasses.replace(QUANTIZER, n_codebooks=4)}, "n_codebooks is 3 there and 4"),
    ],
)
def test_a_checkpoint_of_another_architecture_is_refused(
    checkpoint: Path, changes: dict[str, object], named: str
) -> None:
    other = training(codec=dataclasses.replace(CODEC, **changes))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=named):
        fit(other, 12, ckpt_path=checkpoint)
    assert not other.started


def test_a_checkpoint_with_other_discriminators_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ModelError, match=r"adversary\.judges\.period"):
        fit(training(adversary=judged(2, period=PERIOD)), 12, ckpt_path=checkpoint)
