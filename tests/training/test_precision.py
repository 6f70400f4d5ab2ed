"""Precisions that are refused, and those that a processor is slow in."""

from __future__ import annotations

import pytest
import torch

from codec.errors import ConfigError
from codec.training.precision import check_precision, fast_bfloat16

CPU = torch.device("cpu")


def test_float16_is_refused_with_the_way_out() -> None:
    """A trainer on the CPU never has this precision, so the check is called by itself."""
    with pytest.raises(ConfigError, match="bf16-mixed"):
        check_precision("16-mixed", CPU)
    check_precision("32-true", CPU)


@pytest.mark.parametrize("slow", [True, False])
def test_bfloat16_is_warned_of_where_it_is_slow(
    slow: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for feature in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, feature, lambda: not slow)
    check_precision("32-true", CPU)
    assert not caplog.text
    check_precision("bf16-mixed", CPU)
    assert ("32-true" in caplog.text) == slow
    assert fast_bfloat16(CPU) != slow


def test_gpus_have_bfloat16() -> None:
    assert fast_bfloat16(torch.device("cuda"))
