"""From a configuration to the networks that it describes."""

from __future__ import annotations

from codec.models.base import Decoder, Encoder
from codec.models.config import CodecConfig, SpectralConfig
from codec.models.seanet import SeanetDecoder, SeanetEncoder
from codec.models.spectral import SpectralDecoder, SpectralEncoder


def build_encoder(config: CodecConfig) -> Encoder:
    """A freshly initialised encoder; raises ConfigError when the parts of `config` do not fit together."""
    if isinstance(config.network, SpectralConfig):
        return SpectralEncoder(config.network, config.hop_length, config.latent_dim)
    return SeanetEncoder(config.network, config.hop_length, config.latent_dim)


def build_decoder(config: CodecConfig) -> Decoder:
    """A freshly initialised decoder; raises ConfigError when the parts of `config` do not fit together."""
    if isinstance(config.network, SpectralConfig):
        return SpectralDecoder(config.network, config.hop_length, config.latent_dim)
    return SeanetDecoder(config.network, config.hop_length, config.latent_dim)
