"""From a configuration to the quantizer that it describes."""

from __future__ import annotations

from codec.quantize.base import Quantizer
from codec.quantize.config import (
    GroupedConfig,
    NeuralConfig,
    QuantizerConfig,
    ResidualConfig,
    SplitConfig,
    TimeHierarchyConfig,
    TopKConfig,
)
from codec.quantize.grouped import GroupedQuantizer
from codec.quantize.neural import NeuralQuantizer
from codec.quantize.residual import ResidualQuantizer
from codec.quantize.split import SplitQuantizer
from codec.quantize.time_hierarchy import TimeHierarchyQuantizer
from codec.quantize.top_k import TopKQuantizer


def build_quantizer(config: QuantizerConfig, dim: int) -> Quantizer:
    """A fresh quantizer of latents with `dim` channels.

    Raises:
        ConfigError: parts that do not fit together, or not to dim.
    """
    match config:
        case ResidualConfig():
            return ResidualQuantizer(config, dim)
        case GroupedConfig():
            return GroupedQuantizer(config, dim)
        case TimeHierarchyConfig():
            return TimeHierarchyQuantizer(config, dim)
        case NeuralConfig():
            return NeuralQuantizer(config, dim)
        case SplitConfig():
            return SplitQuantizer(config, dim)
        case TopKConfig():
            return TopKQuantizer(config, dim)
