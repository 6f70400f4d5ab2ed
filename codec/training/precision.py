"""Which precision a training may have, and where bfloat16 is fast."""

from __future__ import annotations

import logging

import torch

from codec.errors import ConfigError

log = logging.getLogger(__name__)


def check_precision(precision: str, device: torch.device) -> None:
    """Warns of a trainer's precision that is slow on the device.

    Raises:
        ConfigError: spectra and gradients overflow in it.
    """
    if precision.startswith(("16", "transformer-engine-float16")):
        raise ConfigError("Training in float16 overflows: use --trainer.precision bf16-mixed or 32-true.")
    if precision.startswith("bf16") and not fast_bfloat16(device):
        log.warning(
            "This processor has no instructions for bfloat16, which may take a hundred times as long as "
            "float32: use --trainer.precision 32-true."
        )


def fast_bfloat16(device: torch.device) -> bool:
    """Whether matrices multiply at least as fast in bfloat16 as in float32."""
    if device.type != "cpu":
        return True
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
