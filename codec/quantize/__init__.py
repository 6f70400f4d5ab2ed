"""Quantizers: from latents to integer codes and back, built from small parts."""

from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.build import build_quantizer
from codec.quantize.config import (
    CosineConfig,
    EuclideanConfig,
    GroupedConfig,
    GumbelConfig,
    LatticeConfig,
    NeuralConfig,
    QuantizerConfig,
    ResidualConfig,
    ScalarConfig,
    SimConfig,
    SplitConfig,
    StochasticConfig,
    TimeHierarchyConfig,
    TopKConfig,
)
from codec.quantize.residual import ResidualQuantizer

__all__ = [
    "CosineConfig",
    "EuclideanConfig",
    "Exact",
    "GroupedConfig",
    "GumbelConfig",
    "LatticeConfig",
    "NeuralConfig",
    "Quantized",
    "Quantizer",
    "QuantizerConfig",
    "ResidualConfig",
    "ResidualQuantizer",
    "ScalarConfig",
    "SimConfig",
    "SplitConfig",
    "StochasticConfig",
    "TimeHierarchyConfig",
    "TopKConfig",
    "build_quantizer",
]
