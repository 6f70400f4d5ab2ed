"""The optimizers of a training: AdamW for the codec, Muon for its linear layers, AdamW for discriminators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from codec.models.network import CodecNetwork
from codec.training.muon import Muon
from codec.training.schedule import OptimizerConfig


def matrices(network: CodecNetwork, config: OptimizerConfig) -> list[nn.Parameter]:
    """Weights that Muon moves: of the linear layers of encoder and decoder; none where AdamW moves all."""
    if config.matrices == "adamw":
        return []
    return [p for part in (network.encoder, network.decoder) for p in part.parameters() if p.dim() == 2]


def build_optimizers(
    network: CodecNetwork,
    learned: Sequence[nn.Parameter],
    judges: Sequence[nn.Parameter],
    config: OptimizerConfig,
) -> list[torch.optim.Optimizer]:
    """Of the codec, then of its linear layers if Muon moves them, then of the discriminators, if any.

    Args:
        learned: all that the codec's losses teach, of the network and of what is learned beside it.
        judges: parameters of the discriminators.
    """
    groups = _groups(network, learned, config)
    optimizers: list[torch.optim.Optimizer] = [_adamw(groups, config.rate, config.weight_decay, config)]
    if by_muon := matrices(network, config):
        optimizers.append(Muon(by_muon, config.rate, config.weight_decay))
    if judges:
        optimizers.append(_adamw([{"params": list(judges)}], config.discriminator_rate, 0.0, config))
    return optimizers


def full_rates(network: CodecNetwork, judged: bool, config: OptimizerConfig) -> list[float]:
    """The learning rates of `build_optimizers`, before warm-up and decay."""
    rates = [config.rate]
    if matrices(network, config):
        rates.append(config.rate * config.matrix_rate)
    return [*rates, config.discriminator_rate] if judged else rates


def _adamw(
    groups: list[dict[str, Any]], rate: float, weight_decay: float, config: OptimizerConfig
) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=rate, betas=config.betas, weight_decay=weight_decay, fused=True)


def _groups(
    network: CodecNetwork, learned: Sequence[nn.Parameter], config: OptimizerConfig
) -> list[dict[str, Any]]:
    """What AdamW moves; codebooks that learn at another rate are the second group."""
    own = config.codebook_rate != 1 or config.codebook_warmup_steps > 0
    books = [p for name, p in network.quantizer.named_parameters() if own and name.endswith("codebook")]
    elsewhere = {*books, *matrices(network, config)}
    groups = ([p for p in learned if p not in elsewhere], books)
    return [{"params": group} for group in groups if group]
