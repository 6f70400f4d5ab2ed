"""Quantizers: from latents to integer codes and back, built from small parts."""

from codec.quantize.config import CosineConfig, EuclideanConfig, ResidualConfig
from codec.quantize.residual import Exact, Quantized, ResidualQuantizer

__all__ = ["CosineConfig", "EuclideanConfig", "Exact", "Quantized", "ResidualConfig", "ResidualQuantizer"]
