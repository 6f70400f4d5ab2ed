"""The order of batches: a function of the seed, whatever the workers, the ranks and the interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import TensorDataset

from codec.errors import ConfigError
from codec.training.data import AudioFolder, SegmentConfig, Segments
from codec.training.data.clips import scan
from codec.training.data.loader import ClipLoader, Keys, SegmentLoader, spread

CONFIG = SegmentConfig(seconds=0.05, batch_size=2, batches_per_epoch=4, workers=0, seed=5)


@pytest.fixture
def segments(folder: Path) -> Segments:
    return Segments(scan(folder), CONFIG, sample_rate=16000, count=8)


def loader(segments: Segments, **options: Any) -> SegmentLoader:
    return SegmentLoader(segments, 4, 2, **options)


def test_passes_go_on_where_the_last_one_stopped(segments: Segments) -> None:
    made = loader(segments)
    for epoch in range(2):
        for i, batch in enumerate(made):
            expected = torch.stack([segments[epoch, 2 * i], segments[epoch, 2 * i + 1]])
            assert torch.equal(batch, expected)


def test_workers_change_nothing(segments: Segments) -> None:
    alone, helped = loader(segments), loader(segments, workers=2)
    for _ in range(2):
        for a, b in zip(alone, helped, strict=True):
            assert torch.equal(a, b)


def test_ranks_together_have_the_joint_batch() -> None:
    joint = list(Keys(3, 4, rank=0, world=1))
    first, second = (list(Keys(3, 2, rank=rank, world=2)) for rank in range(2))
    assert [a + b for a, b in zip(first, second, strict=True)] == joint
    assert sorted(key for batch in joint for key in batch) == [(0, i) for i in range(12)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_a_restored_loader_goes_on_with_the_next_batch(segments: Segments, stop: int, workers: int) -> None:
    def batches(made: SegmentLoader) -> Any:
        while True:
            yield from made

    whole = batches(loader(segments))
    expected = [next(whole) for _ in range(10)]
    stopped = loader(segments, workers=workers)
    before = batches(stopped)
    seen = [next(before) for _ in range(stop)]
    resumed = loader(segments, workers=workers)
    resumed.load_state_dict(stopped.state_dict())
    after = batches(resumed)
    seen += [next(after) for _ in range(10 - stop)]
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_a_state_of_other_epochs_is_an_error(segments: Segments) -> None:
    state = loader(segments).state_dict()
    with pytest.raises(ConfigError, match="4 batches of 2 segments over all processes, this run 5 of 2"):
        SegmentLoader(segments, 5, 2).load_state_dict(state)
    with pytest.raises(ConfigError, match="this run 4 of 4"):
        SegmentLoader(segments, 4, 2, world=2).load_state_dict(state)


def test_loading_leaves_the_global_random_state_alone(segments: Segments) -> None:
    before = torch.get_rng_state()
    assert len(list(loader(segments))) == 4
    assert torch.equal(before, torch.get_rng_state())


def test_validation_clips_are_shared_out_evenly() -> None:
    clips: Any = [torch.tensor([float(i)]) for i in range(5)]
    parts = [[int(x) for x in ClipLoader(clips, 5, rank, 2)] for rank in range(2)]
    assert parts == [[0, 2, 4], [1, 3, 0]]
    assert len(ClipLoader(clips, 0)) == 0
    assert [int(x) for x in ClipLoader(TensorDataset, 0)] == []  # type: ignore[arg-type]
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(2), 3) == [0, 1]


class Recorder(lightning.LightningModule):
    """Trains nothing, and remembers the batches that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[torch.Tensor] = []
        self.validated = 0

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        self.seen.append(batch.clone())
        return self.weight * batch.mean()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.validated += 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder: Path, where: Path, steps: int, resume: Path | None = None, **options: Any) -> Recorder:
    data = AudioFolder(str(folder), str(folder), segments=CONFIG, valid_clips=2)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=where,
        callbacks=[ModelCheckpoint(where, every_n_train_steps=1, save_top_k=-1, filename="{step}")],
        **options,
    )
    recorder = Recorder()
    trainer.fit(recorder, datamodule=data, ckpt_path=resume)
    assert trainer.global_step == steps
    return recorder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit_train_batches": 3},
        {"val_check_interval": 2},
        {"reload_dataloaders_every_n_epochs": 1},
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_resumes_in_the_middle_of_an_epoch(
    folder: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = fit(folder, tmp_path / "whole", 10, **options)
    assert len({batch.numpy().tobytes() for batch in whole.seen}) == 10
    assert whole.validated > 0
    for stop in (2, 4, 7):
        resumed = fit(folder, tmp_path / f"{stop}", 10, tmp_path / "whole" / f"step={stop}.ckpt", **options)
        assert len(resumed.seen) == 10 - stop
        for a, b in zip(resumed.seen, whole.seen[stop:], strict=True):
            assert torch.equal(a, b)
