"""Encoders and decoders, and the typed configurations that they are built from."""

from codec.models.base import Decoder, Encoder
from codec.models.build import build_decoder, build_encoder
from codec.models.config import CodecConfig, SeanetConfig, SpectralConfig, from_json, to_json

__all__ = [
    "CodecConfig",
    "Decoder",
    "Encoder",
    "SeanetConfig",
    "SpectralConfig",
    "build_decoder",
    "build_encoder",
    "from_json",
    "to_json",
]
