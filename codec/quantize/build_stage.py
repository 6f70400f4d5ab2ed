"""From the configuration of a structure to the codebooks that it is made of."""

from __future__ import annotations

from codec.quantize.config import (
    CosineConfig,
    EuclideanConfig,
    GumbelConfig,
    LatticeConfig,
    ResidualConfig,
    ScalarConfig,
    SimConfig,
    StochasticConfig,
)
from codec.quantize.cosine import CosineStage
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.gumbel import GumbelStage
from codec.quantize.lattice import LatticeStage
from codec.quantize.scalar import ScalarStage
from codec.quantize.sim import SimStage
from codec.quantize.stage import Stage
from codec.quantize.stochastic import StochasticStage
from codec.quantize.vq_vae import GradientStage


def build_stage(config: ResidualConfig, size: int, dim: int) -> Stage:
    """One fresh codebook of `size` entries for vectors of `dim` dimensions.

    Raises:
        ConfigError: a lookup that does not fit dim.
    """
    lookup, gradient, upkeep = config.lookup, config.gradient, config.upkeep
    match lookup:
        case EuclideanConfig(learning="gradient"):
            return GradientStage(lookup, size, dim, gradient, upkeep)
        case EuclideanConfig():
            return EuclideanStage(lookup, size, dim, gradient, upkeep, skips=config.skips > 0)
        case CosineConfig():
            return CosineStage(lookup, size, dim, gradient, upkeep)
        case SimConfig():
            return SimStage(lookup, size, dim, gradient)
        case GumbelConfig():
            return GumbelStage(lookup, size, dim, upkeep)
        case StochasticConfig():
            return StochasticStage(lookup, size, dim, upkeep)
        case ScalarConfig():
            return ScalarStage(lookup, dim)
        case LatticeConfig():
            return LatticeStage(lookup, size, dim)
