"""How files and options of one command become one configuration of the codec."""

from __future__ import annotations

from pathlib import Path

import pytest

from codec.errors import ConfigError
from codec.models.config import CodecConfig, SeanetConfig, SpectralConfig
from codec.quantize import CosineConfig, EuclideanConfig, NeuralConfig, ResidualConfig
from codec.training.recipe import CodecSection, gather


def merged(tmp_path: Path, *texts: str, options: tuple[str, ...] = ()) -> CodecConfig:
    arguments = []
    for i, text in enumerate(texts):
        path = tmp_path / f"{i}.yaml"
        path.write_text(text)
        arguments += ["--config", str(path)]
    *_, last = gather([*arguments, *options])
    key, _, value = last.partition("=")
    assert key == "--model.codec"
    return CodecSection.of(value).config


def test_a_later_file_changes_what_it_names(tmp_path: Path) -> None:
    one = "model: {codec: {latent_dim: 16, network: {kind: spectral, width: 400, compand: 5e-1}}}"
    made = merged(tmp_path, one, "model: {codec: {network: {width: 500}}}")
    assert made == CodecConfig(latent_dim=16, network=SpectralConfig(width=500, compand=0.5))


def test_another_kind_drops_the_keys_of_the_old_one(tmp_path: Path) -> None:
    one = "model: {codec: {network: {kind: spectral, width: 400}, quantizer: {kind: residual, dropout: 1.0}}}"
    two = "model: {codec: {network: {kind: seanet, channels: 3}, quantizer: {kind: neural, hidden: 8}}}"
    made = merged(tmp_path, one, two)
    assert made.network == SeanetConfig(channels=3)
    assert made.quantizer == NeuralConfig(hidden=8)


def test_parts_inside_of_parts_change_too(tmp_path: Path) -> None:
    one = (
        "model: {codec: {quantizer: {kind: residual, n_codebooks: 4, lookup: {kind: euclidean, decay: 0.5}}}}"
    )
    two = "model: {codec: {quantizer: {lookup: {kind: cosine, dim: 6}}}}"
    assert merged(tmp_path, one, two).quantizer == ResidualConfig(n_codebooks=4, lookup=CosineConfig(dim=6))


def test_options_win_over_files(tmp_path: Path) -> None:
    text = "model: {codec: {quantizer: {kind: residual, n_codebooks: 4}}}"
    options = ("--model.codec.quantizer.n_codebooks=5", "--model.codec.quantizer.lookup.decay", "0.9")
    made = merged(tmp_path, text, options=options)
    assert made.quantizer == ResidualConfig(n_codebooks=5, lookup=EuclideanConfig(decay=0.9))


def test_everything_else_passes_untouched(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {start_seconds: 3}\n")
    arguments = [f"--config={path}", "--trainer.max_steps", "3", "--print_config"]
    assert gather(arguments) == arguments


def test_the_rest_of_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {codec: {latent_dim: 16}, optimizer: {rate: 5e-4}}\ndata: {x: 1}\n")
    first, _ = gather([f"--config={path}"])
    assert "codec" not in first
    assert "rate: 0.0005" in first
    assert "x: 1" in first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {codec: [1]}", "must have keys"),
        ("model: {codec: {latent_dim: much}}", "model.codec.latent_dim must be of type int, not 'much'"),
        ("model: {codec: {quantizer: {kind: vector}}}", "unknown kind 'vector'; there are residual, grouped"),
        ("model: {codec: {latent_dims: 3}}", "unknown key 'latent_dims': did you mean 'latent_dim'?"),
        ("model: {codec: {", "not valid YAML"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        merged(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_run_saves_can_be_run_again() -> None:
    config = CodecConfig(network=SeanetConfig(ratios=(5, 4)), quantizer=ResidualConfig(lookup=CosineConfig()))
    assert CodecSection.of(CodecSection(config).plain()).config == config
