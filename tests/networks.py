"""Small codecs with random weights, in which every layer matters."""

from __future__ import annotations

import torch

from codec.codec import Codec
from codec.models import CodecConfig, SeanetConfig, SpectralConfig
from codec.models.network import CodecNetwork
from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig
from codec.torch_engine import TorchEngine, torch_codec

SPECTRAL = CodecConfig(
    name="small-spectral",
    sample_rate=8000,
    hop_length=40,
    latent_dim=12,
    network=SpectralConfig(width=48, kernel_size=3, encoder_blocks=2, decoder_blocks=2),
    quantizer=ResidualConfig(n_codebooks=4, codebook_size=64),
)
BANDS = CodecConfig(
    name="small-bands",
    sample_rate=8000,
    hop_length=40,
    latent_dim=12,
    network=SpectralConfig(width=60, kernel_size=3, encoder_blocks=2, decoder_blocks=2, band_width=1.5),
    quantizer=ResidualConfig(n_codebooks=4, codebook_size=64, beam=3, skips=0.5),
)
SEANET = CodecConfig(
    name="small-seanet",
    sample_rate=8000,
    hop_length=40,
    latent_dim=12,
    network=SeanetConfig(channels=4, ratios=(5, 4, 2)),
    quantizer=ResidualConfig(n_codebooks=4, codebook_size=64, lookup=CosineConfig(dim=4)),
)
RECURRENT = CodecConfig(
    name="small-recurrent",
    sample_rate=8000,
    hop_length=40,
    latent_dim=12,
    network=SeanetConfig(channels=4, ratios=(5, 4, 2), lstm_layers=1),
    quantizer=ResidualConfig(n_codebooks=4, codebook_size=64, lookup=EuclideanConfig()),
)
CONFIGS = (SPECTRAL, BANDS, SEANET, RECURRENT)


def small_network(config: CodecConfig = SPECTRAL) -> CodecNetwork:
    """A network whose codebooks fit its latents, and whose zero-initialised layers are random."""
    torch.manual_seed(0)
    network = CodecNetwork(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
        audio = 0.3 * torch.randn(1, 1, 400 * config.hop_length)
        latents = network.encoder(audio)[0]
        network.quantizer.start(latents, torch.Generator().manual_seed(0))
    return network


def small_codec(config: CodecConfig = SPECTRAL) -> Codec:
    """A codec around `small_network`."""
    return torch_codec(small_network(config), "0" * 16)


def engine_of(codec: Codec) -> TorchEngine:
    """What runs a codec that PyTorch runs."""
    assert isinstance(codec._engine, TorchEngine)
    return codec._engine
