"""Random segments: reproducible, of one length, and filled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from codec.errors import AudioError, ConfigError
from codec.training.data import AugmentConfig, SegmentConfig, Segments
from codec.training.data.clips import Clip, scan
from codec.training.data.segments import MixedSegments, probabilities

CONFIG = SegmentConfig(seconds=0.5, balance=0.0, seed=3)
VARIED = AugmentConfig(speed=1.1, gain_db=(-6.0, 3.0), polarity=True)


def segments(
    clips: list[Clip], augment: AugmentConfig = VARIED, channels: int = 1, **changes: Any
) -> Segments:
    config = replace(CONFIG, **changes)
    return Segments(clips, config, sample_rate=16000, count=40, channels=channels, augment=augment)


def test_an_item_depends_on_seed_epoch_and_index_alone(folder: Path) -> None:
    first, again = segments(scan(folder)), segments(scan(folder))
    backwards = [again[i] for i in reversed(range(40))][::-1]
    for i in range(40):
        assert torch.equal(first[i], backwards[i])
    again.epoch = 1
    other = segments(scan(folder), seed=4)
    for i in range(40):
        assert not torch.equal(first[i], again[i])
        assert not torch.equal(first[i], other[i])
        assert torch.equal(first[1, i], again[i])
        assert torch.equal(first[i], again[0, i])
    assert len({first[i].numpy().tobytes() for i in range(40)}) == 40


def test_segments_have_one_length_and_are_filled(folder: Path) -> None:
    made = segments(scan(folder))
    for i in range(40):
        assert made[i].shape == (1, 8000)
        assert made[i].dtype == torch.float32
        assert float(made[i].abs().max()) <= 1
        # Short clips are followed by others, not by silence.
        assert float(made[i][0].unflatten(0, (-1, 1000)).std(dim=1).min()) > 0.02


def test_short_clips_are_followed_by_the_same_speaker(tmp_path: Path) -> None:
    """Each speaker's clips are one constant, so that a segment of one speaker is that constant throughout."""
    for speaker, level in enumerate((0.1, 0.3, 0.5)):
        for i in range(3):
            path = tmp_path / str(speaker) / f"{i}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.full(2000, level), 16000, subtype="FLOAT")
    made = segments(scan(tmp_path), AugmentConfig())
    assert max(float(made[i].std()) for i in range(40)) < 1e-6
    assert {round(float(made[i].mean()), 3) for i in range(40)} == {0.1, 0.3, 0.5}


@pytest.mark.parametrize("channels", [1, 2])
def test_a_decoded_corpus_gives_the_same_segments(folder: Path, channels: int) -> None:
    clips = scan(folder)
    read, cached = (segments(clips, channels=channels, cache=cache) for cache in (False, True))
    for i in range(40):
        assert read[i].shape == (channels, 8000)
        torch.testing.assert_close(read[i], cached[i], rtol=0, atol=3e-4)


def test_stereo_stays_and_mono_is_repeated(folder: Path) -> None:
    clips = scan(folder)
    for clip, alike in ((clips[0], True), (clips[1], False)):
        made = segments([clip], AugmentConfig(), channels=2)[0]
        assert torch.equal(made[0], made[1]) == alike


def test_without_augmentation_samples_are_those_of_the_file(folder: Path) -> None:
    clip = scan(folder)[0]
    whole = soundfile.read(clip.path, dtype="float32")[0].tobytes()
    made = segments([clip], AugmentConfig())
    assert all(made[i].numpy().tobytes() in whole for i in range(40))


def test_groups_are_drawn_by_the_balance(folder: Path) -> None:
    """With balance 0 a group of 0.35 s comes as often as one of 5 s."""
    clips = scan(folder)
    for balance, share in ((0.0, 0.5), (1.0, 0.066)):
        drawn = zip(probabilities(clips, balance), clips, strict=True)
        assert sum(p for p, clip in drawn if clip.group == "short") == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("cache", [False, True])
def test_a_file_that_breaks_later_becomes_silence_and_is_named_once(
    folder: Path, warnings: pytest.LogCaptureFixture, cache: bool
) -> None:
    clips = scan(folder)[:1]
    clips[0].path.write_bytes(b"broken")
    made = segments(clips, cache=cache)
    assert not any(made[i].any() for i in range(5))
    assert warnings.text.count("silence in place of") == 1
    assert "cannot be read" in warnings.text


def test_a_corpus_shorter_than_a_segment_is_an_error(folder: Path) -> None:
    short = [clip for clip in scan(folder) if clip.group == "short"]
    with pytest.raises(AudioError, match=r"too short: its 3 recordings have 0\.35 s in all"):
        segments(short)
    assert segments(short, seconds=0.3)[0].shape == (1, 4800)


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"seconds": float("nan")}, {"batch_size": 0}, {"workers": -1}, {"seed": -1}]
)
def test_impossible_configs_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SegmentConfig(**wrong)


def test_a_mixture_draws_by_its_weights_and_is_reproducible(folder: Path) -> None:
    parts = [segments([clip], AugmentConfig()) for clip in scan(folder)[:2]]
    never = segments(scan(folder), AugmentConfig(gain_db=(-200.0, -200.0)))
    mixed = MixedSegments([never, *parts], [0.0, 3.0, 1.0], seed=1, count=400)
    whole = scan(folder)[0].path.read_bytes()[44:]
    as_written = [(mixed[i].numpy()[0] * 32768).round().astype("<i2").tobytes() in whole for i in range(200)]
    assert np.mean(as_written) == pytest.approx(0.75, abs=0.08)
    assert float(torch.stack([mixed[i].std() for i in range(200)]).min()) > 0.01
    assert torch.equal(mixed[5], mixed[0, 5])
    assert not torch.equal(mixed[1, 5], mixed[0, 5])
