"""Parts that make no sense together are refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from codec.errors import ConfigError
from codec.quantize import (
    CosineConfig,
    EuclideanConfig,
    GumbelConfig,
    LatticeConfig,
    ResidualConfig,
    ScalarConfig,
    SimConfig,
    StochasticConfig,
)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ResidualConfig(lookup=GumbelConfig(), gradient="nsvq"), "gumbel lookup has a gradient"),
        (lambda: ResidualConfig(lookup=StochasticConfig(), gradient="rotation"), "gradient of its own"),
        (lambda: ResidualConfig(lookup=ScalarConfig(), gradient="rotation"), "gradient of its own"),
        (lambda: ResidualConfig(gradient="nsvq"), "average euclidean lookup cannot use"),
        (lambda: ResidualConfig(lookup=CosineConfig(), gradient="nsvq"), "cosine lookup cannot use"),
        (
            lambda: ResidualConfig(lookup=EuclideanConfig(learning="frozen"), upkeep="cluster"),
            "frozen euclidean lookup cannot move",
        ),
        (lambda: ResidualConfig(lookup=SimConfig(), upkeep="split"), "sim lookup cannot move"),
        (lambda: ResidualConfig(lookup=LatticeConfig(), upkeep="split"), "lattice lookup cannot move"),
        (lambda: ResidualConfig(lookup=ScalarConfig(), entropy_bonus=0.1), "needs a codebook"),
        (lambda: ResidualConfig(entropy_bonus=-1.0), "cannot be negative"),
        (lambda: EuclideanConfig(decay=1.0), "below 1"),
        (lambda: EuclideanConfig(codebook_weight=-1.0), "codebook_weight"),
        (lambda: CosineConfig(dim=0), "must be positive"),
        (lambda: GumbelConfig(temperatures=(1.0,)), "two positive numbers"),
        (lambda: GumbelConfig(temperatures=(1.0, 0.0)), "two positive numbers"),
        (lambda: StochasticConfig(temperature=0.0), "must be positive"),
    ],
)
def test_impossible_combinations_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()
