"""From a configuration to the quantizer that it describes."""

from __future__ import annotations

from codec.errors import ConfigError
from codec.quantize.base import Quantizer
from codec.quantize.config import QuantizerConfig, ResidualConfig
from codec.quantize.residual import ResidualQuantizer


def build_quantizer(config: QuantizerConfig, dim: int) -> Quantizer:
    """A fresh quantizer of latents with `dim` channels.

    Raises:
        ConfigError: parts that do not fit together, or not to dim.
    """
    match config:
        case ResidualConfig():
            return ResidualQuantizer(config, dim)
    raise ConfigError(f"There is no quantizer of kind {config.kind!r}.")
