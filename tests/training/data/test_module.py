"""Data modules: checked before training, and made by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from codec.errors import AudioError, ConfigError
from codec.training.data import (
    AudioData,
    AudioFolder,
    AugmentConfig,
    Mixture,
    SegmentConfig,
    ValidationClips,
)
from codec.training.data.clips import scan
from tests.training.data.conftest import MakeAudio

CONFIG = SegmentConfig(seconds=0.25, batch_size=3, batches_per_epoch=4, workers=0)


def test_validation_clips_are_whole_and_at_the_model_s_rate(folder: Path) -> None:
    clips = ValidationClips(scan(folder), 16000)
    assert [clips[i].shape for i in range(2)] == [(1, 48000), (1, 32000)]
    assert ValidationClips(scan(folder), 16000, channels=2)[1].shape == (2, 32000)


def test_loaders_serve_batches_of_the_epoch(folder: Path) -> None:
    data = AudioFolder(str(folder), str(folder), segments=CONFIG, valid_clips=2)
    assert [batch.shape for batch in data.train_dataloader()] == [(3, 1, 4000)] * 4
    assert len(data.segments) == 12
    assert len(list(data.val_dataloader())) == 2


def test_stereo_is_a_matter_of_one_key(folder: Path) -> None:
    data = AudioFolder(str(folder), channels=2, segments=CONFIG)
    assert data.segments[0].shape == (2, 4000)
    assert next(iter(data.val_dataloader())).shape[:2] == (1, 2)


def test_without_a_validation_folder_speakers_are_held_out(folder: Path, make_audio: MakeAudio) -> None:
    train, valid = AudioFolder(str(folder)).clips
    assert {clip.speaker for clip in train}.isdisjoint({clip.speaker for clip in valid})
    assert {clip.group for clip in valid} == {"short"}
    for i in range(3):
        make_audio(folder / "one" / f"{i}.wav")
    train, valid = AudioFolder(str(folder / "one")).clips
    assert (len(train), len(valid)) == (2, 1)


def test_a_single_clip_trains_without_validation(folder: Path, make_audio: MakeAudio) -> None:
    make_audio(folder / "single" / "0.wav")
    data = AudioFolder(str(folder / "single"), segments=CONFIG)
    assert len(data.train_dataloader()) == 4
    assert len(data.val_dataloader()) == 0


def test_setup_finds_what_is_wrong_before_training(tmp_path: Path, make_audio: MakeAudio) -> None:
    with pytest.raises(AudioError, match="No readable audio"):
        AudioFolder(str(tmp_path), str(tmp_path)).setup("fit")
    make_audio(tmp_path / "a.wav", 0.3)
    with pytest.raises(AudioError, match="too short"):
        AudioFolder(str(tmp_path), str(tmp_path), segments=SegmentConfig(seconds=0.5)).setup("fit")
    with pytest.raises(AudioError, match="not a folder"):
        AudioFolder(str(tmp_path), str(tmp_path / "none")).setup("fit")


@pytest.mark.parametrize("wrong", [{"sample_rate": 0}, {"sample_rate": 10**7}, {"channels": 3}])
def test_impossible_rates_and_channels_are_errors(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AudioFolder(str(tmp_path), **wrong)


def test_a_mixture_is_made_of_its_sources(folder: Path, make_audio: MakeAudio) -> None:
    make_audio(folder / "other" / "0.wav", 1.0, 8000)
    silent = AugmentConfig(gain_db=(-300.0, -300.0))
    sources: list[AudioData] = [
        AudioFolder(str(folder / "long"), str(folder / "short"), segments=SegmentConfig(seconds=9)),
        AudioFolder(str(folder / "other"), str(folder / "short"), augment=silent),
    ]
    mixture = Mixture(sources, [3.0, 1.0], segments=CONFIG, augment=AugmentConfig(gain_db=(0.0, 0.0)))
    batches = torch.cat(list(mixture.train_dataloader()))
    assert batches.shape == (12, 1, 4000)
    assert 0.5 < float((batches.std(dim=-1) > 1e-3).float().mean()) < 1
    assert len(mixture.val_dataloader()) == 6
    for weights in ([1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(ConfigError, match="weights"):
            Mixture(sources, weights)
    with pytest.raises(ConfigError, match="at least one source"):
        Mixture([])


def test_a_recipe_names_a_module_and_its_parts(folder: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AudioData, "data")
    source = {"class_path": "AudioFolder", "init_args": {"root": str(folder), "augment": {"speed": 1.1}}}
    recipe = {
        "class_path": "codec.training.data.Mixture",
        "init_args": {
            "sources": [source, {**source, "class_path": "codec.training.data.AudioFolder"}],
            "weights": [1, 2],
            "sample_rate": 24000,
            "segments": {"seconds": 0.5, "workers": 0},
            "augment": {"gain_db": [-6, 3], "loudness_lufs": -23, "reverb": None},
        },
    }
    made = parser.instantiate_classes(parser.parse_object({"data": recipe})).data
    assert isinstance(made, Mixture)
    assert made.augment == AugmentConfig(gain_db=(-6.0, 3.0), loudness_lufs=-23.0)
    assert made.sources[1].augment.speed == 1.1
    assert made.segments[0].shape == (1, 12000)
