"""Every recipe parses, every debug twin trains a model that can be used, every ablation starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml  # type: ignore[import-untyped]

import codec
from codec.models.config import from_plain
from codec.models.network import CodecNetwork
from codec.models.store import read_config
from codec.quantize.catalogue import configured
from codec.shipped import resolve
from codec.training.run import run
from tests.training.runs import RECIPES, ROOT, train, twin

NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
ABLATIONS = sorted(path.stem for path in (RECIPES / "ablations").glob("*.yaml") if path.stem != "base")
SMALL = [
    f"--data.root={ROOT / 'samples'}",
    f"--data.valid_root={ROOT / 'samples'}",
    "--data.segments={seconds: 0.5, batch_size: 2, batches_per_epoch: 2, workers: 0}",
    "--data.valid_clips=1",
    "--model.codec.quantizer.codebook_size=32",
    "--model.start_seconds=10",
    "--model.quantize_from=1",
    "--model.valid_kbps=[0.5, 1.5]",
    "--trainer.max_steps=2",
    "--trainer.log_every_n_steps=1",
]


def test_every_recipe_has_a_debug_twin_and_a_line_in_the_readme() -> None:
    assert sorted(path.stem for path in (RECIPES / "debug").glob("*.yaml")) == NAMES
    readme = (RECIPES / "README.md").read_text()
    for name in (*NAMES, *ABLATIONS):
        assert f"`{name}" in readme, name


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_parses(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run([str(RECIPES / f"{name}.yaml"), "--print_config"])
    assert exit_.value.code in (0, None)
    shown = yaml.safe_load(capfd.readouterr().out)
    written = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    assert shown["trainer"]["max_steps"] == written["trainer"]["max_steps"]
    assert shown["model"]["codec"]["name"] == written["model"]["codec"]["name"]


@pytest.mark.parametrize("name", NAMES)
def test_a_debug_twin_trains_a_model_that_encodes(name: str, tmp_path: Path, speech: np.ndarray) -> None:
    model = codec.load(train(tmp_path, twin(name)))
    tokens = model.encode(speech[:16000], 16000)
    assert tokens.codes.shape[1] == len(model.codebook_sizes)
    audio = model.decode(tokens)
    assert audio.shape == (1, 16000)
    assert np.isfinite(audio).all()


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_starts_and_changes_one_thing(name: str, tmp_path: Path) -> None:
    base = str(RECIPES / "ablations" / "base.yaml")
    options = [*SMALL, *(["--model.adversary.start_step=0"] if name.startswith("discriminator") else [])]
    made = train(tmp_path, [base, f"--config={RECIPES / 'ablations' / f'{name}.yaml'}"], *options)
    assert codec.load(made).name == "ablation"
    changed = yaml.safe_load((made / "config.yaml").read_text())
    question = yaml.safe_load((RECIPES / "ablations" / f"{name}.yaml").read_text())
    _assert_within(question["model"], changed["model"])


def test_fine_tuning_describes_the_shipped_model() -> None:
    """A recipe of other sizes could not start from its weights."""
    shipped = read_config(resolve(None).with_suffix(".json"))
    recipe = yaml.safe_load((RECIPES / "finetune.yaml").read_text())["model"]["codec"]
    assert recipe["latent_dim"] == shipped.latent_dim
    assert recipe["hop_length"] == shipped.hop_length
    for key, value in recipe["network"].items():
        assert getattr(shipped.network, key) == value
    assert recipe["quantizer"]["n_codebooks"] == len(shipped.quantizer.codebook_sizes)


def test_the_ablations_make_a_table(tmp_path: Path) -> None:
    command = [sys.executable, str(RECIPES / "ablations" / "run.py"), "--steps", "2", "--only", "no_complex"]
    folders = ["--root", str(ROOT / "samples"), "--valid-root", str(ROOT / "samples")]
    options = [f"--option={option}" for option in SMALL[2:] if "batches_per_epoch" not in option]
    options = [option for option in options if "max_steps" not in option]
    small = ["--option=--data.segments.workers=0", "--option=--data.segments.batch_size=2"]
    done = subprocess.run(
        [*command, *folders, *options, *small, "--folder", str(tmp_path), "--no-equal-time"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "Equal steps (2)"
    assert "PESQ @ 0.5 / 1.5 kbps" in lines[2]
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| base", "| no_complex"]


def test_the_equal_macs_of_the_ablation_are_equal() -> None:
    """Multiplications per second of audio in the convolutions and linear layers of both halves."""
    base = _macs(RECIPES / "ablations" / "base.yaml")
    seanet = _macs(RECIPES / "ablations" / "base.yaml", RECIPES / "ablations" / "seanet_equal_macs.yaml")
    assert abs(seanet / base - 1) < 0.03, (base, seanet)


def _macs(*recipes: Path) -> float:
    codec = yaml.safe_load(recipes[-1].read_text())["model"]["codec"]
    network = CodecNetwork(from_plain({"network": codec["network"]}, "model.codec"))
    # Linear layers run once a frame; convolutions once an output step, transposed ones once an input step.
    linear = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
    total = sum(50 * part.weight.numel() for part in linear)

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        times = (inputs[0] if isinstance(module, torch.nn.ConvTranspose1d) else output).shape[-1]
        total += times * module.weight.numel()  # type: ignore[operator]

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv1d, torch.nn.ConvTranspose1d)):
            module.register_forward_hook(count)
    # With gradients and in float64: in other cases layers may take a faster way that hooks do not see.
    network.double().decoder(network.encoder(torch.zeros(1, 1, 16000, dtype=torch.float64))[0])
    return total


def _assert_within(part: dict[str, object], whole: dict[str, object]) -> None:
    for key, value in part.items():
        found = whole[key]
        if isinstance(value, dict) and isinstance(found, dict):
            _assert_within(value, found)
        elif key not in ("start_step", "codebook_size", "quantize_from"):
            assert found == value, key


def test_every_quantization_system_has_a_recipe_that_says_what_the_catalogue_says() -> None:
    found = {path.stem: path for path in (RECIPES / "quantizers").glob("*.yaml")}
    assert sorted(found) == sorted(configured())
    base = yaml.safe_load((RECIPES / "ablations" / "base.yaml").read_text())["model"]["codec"]
    for name, path in found.items():
        codec_section = base | yaml.safe_load(path.read_text())["model"]["codec"]
        assert from_plain(codec_section, "model.codec").quantizer == configured()[name].config, name
