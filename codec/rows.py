"""Many streams as the rows of one batch, on PyTorch.

A matrix product for 60 rows reads the weights once, where 60 streams by themselves read them 60 times; that
is most of what a frame of a single stream costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from codec.exact import EncoderRow, ExactEncoder, Search
from codec.models.base import Decoder
from codec.nn.rows import Row, gather
from codec.tokens import Codes


class RowEncoder:
    """Encodes the next frames of many streams at once; all have the same codebooks."""

    def __init__(self, encoder: ExactEncoder, search: Search) -> None:
        self._encoder, self._search = encoder, search

    def step(self, audio: np.ndarray, states: Sequence[EncoderRow | None]) -> tuple[Codes, list[EncoderRow]]:
        """Codes uint16 `[rows, codebooks, frames]` of audio float32 `[rows, frames * hop_length]`.

        Each row has exactly the codes that it would have by itself. states: of each row, None at its start.
        """
        codes, after = self._encoder.step_rows(torch.from_numpy(audio[:, None]), states, self._search)
        return codes.numpy().astype(np.uint16), after


class RowDecoder:
    """Decodes the next latents of many streams at once."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._device = next(decoder.parameters()).device

    @torch.inference_mode()
    def step(self, latents: np.ndarray, states: Sequence[Row | None]) -> tuple[np.ndarray, list[Row]]:
        """Audio float32 `[rows, samples]` of latents `[rows, latent_dim, frames]`."""
        audio, after = self._decoder(torch.from_numpy(latents).to(self._device), gather(states))
        return audio[:, 0].cpu().numpy(), [Row(after, i) for i in range(len(states))]
