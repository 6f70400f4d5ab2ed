"""Are latents or codebooks distributed as they should be? Kolmogorov-Smirnov tests on projections (DERP).

A distribution in many dimensions is known by those of all its projections onto lines (Cramer and Wold 1936).
Each of a few random directions gives one classical test of numbers; together they test at a stated level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Union

import torch

from codec.errors import ConfigError

Reference = Union[Literal["normal"], torch.Tensor]  # noqa: UP007
"""A normal distribution with the vectors' own mean and covariance, or a sample `[m, dim]`."""

# Simulated samples of a normal distribution that the statistic is compared with.
_SIMULATIONS = 400


@dataclass(frozen=True)
class Tested:
    """Outcome of a test.

    statistic: largest distance between the cumulative distributions, of all directions. p_value: how often as
    large a statistic comes about if the distributions are equal, for all directions together.
    """

    statistic: float
    p_value: float


def projected_test(x: torch.Tensor, reference: Reference, *, directions: int = 16, seed: int = 0) -> Tested:
    """Tests whether vectors `[n, dim]` come from a distribution.

    The p-values of the directions are joined by Bonferroni's rule: valid however much directions depend on
    each other. Vectors must not depend on each other: of latents, take few from each recording. A normal
    distribution whose mean and variance are those of the sample needs Lilliefors' smaller limits (1967),
    which are simulated; two samples are compared by the two-sample test's asymptotic distribution.

    Raises:
        ConfigError: fewer than 8 vectors, or a reference of other dimensions.
    """
    if x.dim() != 2 or len(x) < 8:
        raise ConfigError("A test of a distribution needs vectors [n, dim], 8 or more.")
    x = x.detach().double().cpu()
    lines = _directions(x.shape[1], directions, seed)
    if isinstance(reference, torch.Tensor):
        other = reference.detach().double().cpu()
        if other.dim() != 2 or other.shape[1] != x.shape[1] or len(other) < 8:
            raise ConfigError(f"A reference sample needs 8 or more vectors of {x.shape[1]} dimensions.")
        statistic = float(_two_samples(x @ lines, other @ lines).max())
        single = _kolmogorov(statistic, len(x) * len(other) / (len(x) + len(other)))
    else:
        statistic = float(_normal(x @ lines).max())
        generator = torch.Generator().manual_seed(seed + 1)
        # Each simulated sample has as many vectors as the real one, up to where the limit no longer changes.
        n = min(len(x), 2000)
        drawn = _normal(torch.randn(n, _SIMULATIONS, generator=generator, dtype=torch.double))
        scaled = statistic * math.sqrt(len(x) / n)
        single = _tail(drawn, scaled)
    return Tested(statistic, min(1.0, directions * single))


def sliced_distance(
    x: torch.Tensor, reference: Reference, *, directions: int = 16, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Mean squared distance of the quantiles of projections: a loss that makes x `[n, dim]` alike.

    The sliced Wasserstein distance (Bonneel et al. 2015). Against "normal", the standard one: the latents'
    mean goes to 0 and their covariance to the identity.

    Returns:
        A scalar with a gradient towards x.
    """
    lines = torch.randn(x.shape[1], directions, generator=generator).to(x)
    lines = lines / lines.norm(dim=0)
    found = (x @ lines).sort(dim=0).values
    places = (torch.arange(len(x), device=x.device, dtype=x.dtype) + 0.5) / len(x)
    if isinstance(reference, torch.Tensor):
        wanted = torch.quantile(reference.to(x) @ lines, places, dim=0)
    else:
        wanted = torch.special.ndtri(places)[:, None]
    return (found - wanted).square().mean()


def _directions(dim: int, count: int, seed: int) -> torch.Tensor:
    lines = torch.randn(dim, count, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return lines / lines.norm(dim=0)


def _normal(values: torch.Tensor) -> torch.Tensor:
    """The statistic of each column of `[n, columns]` against a normal distribution fitted to it."""
    n = len(values)
    scale = values.std(0).clamp(min=torch.finfo(values.dtype).tiny)
    expected = torch.special.ndtr(((values - values.mean(0)) / scale).sort(dim=0).values)
    steps = torch.arange(n + 1, dtype=values.dtype)[:, None] / n
    return torch.maximum((steps[1:] - expected).amax(0), (expected - steps[:-1]).amax(0))


def _two_samples(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The statistic of each pair of columns of `[n, columns]` and `[m, columns]`."""
    found = []
    for one, other in zip(a.T, b.T, strict=True):
        one, other = one.sort().values.contiguous(), other.sort().values.contiguous()
        both = torch.cat([one, other])
        below = torch.searchsorted(one, both, right=True) / len(one)
        found.append((below - torch.searchsorted(other, both, right=True) / len(other)).abs().max())
    return torch.stack(found)


def _kolmogorov(statistic: float, n: float) -> float:
    """`2 sum (-1)^(j-1) exp(-2 j^2 l^2)` with Stephens' correction of l for few vectors."""
    root = math.sqrt(n)
    scaled = (root + 0.12 + 0.11 / root) * statistic
    total = 2 * sum((-1) ** (j - 1) * math.exp(-2 * j**2 * scaled**2) for j in range(1, 101))
    return 1.0 if scaled < 0.2 else min(1.0, max(0.0, total))


def _tail(drawn: torch.Tensor, statistic: float) -> float:
    """How often a statistic is exceeded, from simulated ones; beyond the largest by an exponential tail.

    The tail of the statistic falls as `exp(-c d^2)`; c comes from the upper fifth of the simulation.
    """
    ordered = drawn.sort().values
    pivot = ordered[int(0.8 * len(ordered))]
    if statistic <= float(pivot):
        return float((ordered >= statistic).double().mean())
    upper = ordered[ordered > pivot].square() - pivot.square()
    return 0.2 * math.exp(-(statistic**2 - float(pivot) ** 2) / float(upper.mean()))
