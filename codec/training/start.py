"""What training starts from: a closed-form transform codec where there is one, and k-means codebooks."""

from __future__ import annotations

import logging

import torch

from codec.models.network import CodecNetwork
from codec.models.spectral import SpectralDecoder, SpectralEncoder

log = logging.getLogger(__name__)


@torch.no_grad()
def start_from_data(network: CodecNetwork, audio: torch.Tensor, seed: int = 0) -> None:
    """Starts a fresh network from recordings.

    Args:
        network: whose weights and codebooks are set in place.
        audio: segments `[n, 1, samples]`; 100,000 frames or more make good codebooks.
        seed: of k-means.
    """
    hop = network.config.hop_length
    audio = audio[..., : audio.shape[-1] // hop * hop]
    if isinstance(network.encoder, SpectralEncoder) and isinstance(network.decoder, SpectralDecoder):
        closed_form(network.encoder, network.decoder, audio)
    latents = torch.cat([network.encoder(batch)[0] for batch in audio.split(16)])
    x = latents.transpose(1, 2).flatten(0, 1)
    network.quantizer.start(x, torch.Generator().manual_seed(seed))
    left = x.T[None] - network.quantizer.decode(network.quantizer.encode(x.T[None]).codes)
    log.info(
        "started from %d frames: %d codebooks leave %.1f dB of the latents",
        len(x),
        network.config.quantizer.n_codebooks,
        10 * float(torch.log10(left.square().sum() / x.square().sum())),
    )


def closed_form(encoder: SpectralEncoder, decoder: SpectralDecoder, audio: torch.Tensor) -> None:
    """Makes the spectral network a transform codec: companded MDCT, principal components, and back.

    The blocks are the identity at their start, so the whole is linear between companding and expanding, and
    the first principal components are the best choice of latents (in the companded domain, by squared error).
    """
    spectra = torch.cat([encoder.spectrum(batch)[0] for batch in audio.split(16)])
    x = spectra.transpose(1, 2).flatten(0, 1)
    scale = 1 / x.square().mean().sqrt()
    covariance = (x.T @ x).double() / len(x)
    _, vectors = torch.linalg.eigh(covariance)
    latent_dim, width = encoder.project.weight.shape[:2]
    components = vectors.flip(1)[:, :latent_dim].T.float()
    bins = components.shape[1]
    encoder.mix.weight.copy_(scale * torch.eye(width, bins)[:, :, None])
    decoder.unmix.weight.copy_(torch.eye(bins, width)[:, :, None] / scale)
    for layer, weight in ((encoder.project, components), (decoder.unproject, components.T)):
        layer.weight.zero_()
        layer.weight[: weight.shape[0], : weight.shape[1], 0] = weight
        layer.bias.zero_()  # type: ignore[union-attr]
