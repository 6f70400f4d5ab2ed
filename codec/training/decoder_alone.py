"""The end of a training: the decoder learns alone, over all bitrates alike."""

from __future__ import annotations

import torch
from torch import nn

from codec.models.network import CodecNetwork, Reconstruction
from codec.quantize import ResidualConfig, ResidualQuantizer
from codec.quantize.config import DropoutLaw
from codec.quantize.dropout import used_codebooks
from codec.quantize.top_k import TopKQuantizer


@torch.no_grad()
def hold_still(network: CodecNetwork, average: nn.Module) -> None:
    """Gives encoder and quantizer their averaged weights, those that ship.

    Args:
        network: in training. average: its running average.
    """
    network.load_state_dict(
        {name: tensor for name, tensor in average.state_dict().items() if not name.startswith("decoder.")},
        strict=False,
    )


def reconstruct(network: CodecNetwork, audio: torch.Tensor) -> Reconstruction:
    """`CodecNetwork.forward` of audio `[batch, audio_channels, samples]`, with gradients of the decoder.

    Every item uses a number of codebooks drawn by the quantizer's law, where it decodes fewer than all; the
    quantizer's share of skips use all and a price instead.
    """
    for part in (network.encoder, network.quantizer):
        part.requires_grad_(False)
    sizes = network.quantizer.codebook_sizes
    least = len(sizes) if isinstance(network.quantizer, TopKQuantizer) else 1
    with torch.no_grad(), torch.autocast(audio.device.type, enabled=False):
        latents, _ = network.encoder(network.filled(audio.float() / network.level(audio)))
        prices, codes = _codes(network, latents)
        used = used_codebooks(len(sizes), len(audio), share=1.0, law=_law(network)).clamp(min=least)
        kept = torch.where(prices > 0, len(sizes), used.to(prices.device)).tolist()
        quantized = [network.quantizer.decode(item[None, :n]) for item, n in zip(codes, kept, strict=True)]
        counts = torch.stack(
            [torch.bincount(codes[:, k].flatten(), minlength=max(sizes)) for k in range(len(sizes))]
        )
    latents = torch.cat(quantized)
    decoded, _ = network.decoder(latents)
    delay = network.decoder.delay
    made = decoded[..., delay : delay + audio.shape[-1]] * network.level(audio)
    return Reconstruction(made, latents.new_zeros(()), counts, latents)


def _codes(network: CodecNetwork, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prices `[batch]`, and codes `[batch, codebooks, frames]` of latents at these prices."""
    quantizer, batch = network.quantizer, len(latents)
    if not isinstance(quantizer, ResidualQuantizer) or quantizer.config.skips == 0:
        return latents.new_zeros(batch), quantizer.encode(latents).codes
    prices = quantizer.draw_prices(batch, quantizer.config.skips)
    return prices, quantizer.paths().encode(latents, prices=prices).codes


def _law(network: CodecNetwork) -> DropoutLaw:
    config = network.config.quantizer
    return config.dropout_law if isinstance(config, ResidualConfig) else "uniform"
