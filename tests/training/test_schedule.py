"""Learning rates over a run, and the guard against steps that are not finite."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from codec.errors import CodecError, ConfigError
from codec.training.guard import SkipGuard
from codec.training.schedule import OptimizerConfig, rate_share

CONFIG = OptimizerConfig(warmup_steps=4, decay_steps=10)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    shares = [rate_share(CONFIG, step, 40) for step in range(41)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4:31] == [1.0] * 27
    assert all(a > b for a, b in pairwise(shares[30:]))
    assert shares[35] == pytest.approx(0.5)
    assert shares[40] == 0


def test_a_run_without_an_end_never_falls() -> None:
    assert rate_share(CONFIG, 10**6, -1) == 1


def test_no_warm_up_and_no_decay_leave_the_rate_alone() -> None:
    config = OptimizerConfig(warmup_steps=0, decay_steps=0)
    assert {rate_share(config, step, 20) for step in range(20)} == {1.0}


@pytest.mark.parametrize(
    "values", [{"rate": 0.0}, {"clip": -1.0}, {"skip_limit": 0}, {"warmup_steps": -1}, {"average_decay": 1.0}]
)
def test_values_without_meaning_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        OptimizerConfig(**values)  # type: ignore[arg-type]


def test_only_steps_in_a_row_end_the_training(caplog: pytest.LogCaptureFixture) -> None:
    guard = SkipGuard(3)
    with caplog.at_level(logging.WARNING):
        for step in range(20):
            guard.skip(step, "a loss")
            guard.skip(step, "a loss")
            guard.passed()
    assert guard.total == 40
    assert "step 7 skipped: a loss is not finite" in caplog.text
    guard.skip(20, "a loss")
    guard.skip(21, "a loss")
    with pytest.raises(CodecError, match="stopped at step 22 because 3 steps in a row"):
        guard.skip(22, "a loss")
