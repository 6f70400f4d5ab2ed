"""A network that PyTorch runs on whole recordings, behind the contract of `codec.engine.WholeEngine`."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import torch

from codec.errors import ModelError
from codec.exact import EncoderState
from codec.models.config import SegmentsConfig
from codec.models.network import SILENCE
from codec.segments import Levels, Span, spans
from codec.tokens import Codes
from codec.torch_engine import TorchEngine


class TorchWholeEngine(TorchEngine):
    """Encodes in float64, so that codes are the same everywhere, and decodes in float32."""

    @property
    def is_segmented(self) -> bool:
        """Whether decoding needs levels."""
        return self.network.config.segments is not None

    @torch.inference_mode()
    def encode(self, audio: np.ndarray, codebook_sizes: tuple[int, ...]) -> tuple[Codes, Levels | None]:
        x, segments = torch.from_numpy(audio), self.network.config.segments
        search = self.encoder.search(len(codebook_sizes))
        parts, scales = [], []
        for span in self._spans(x.shape[-1]):
            segment = x[..., span.begin : span.end]
            if segments is not None and segments.normalize:
                scale = segment.double().mean(1).square().mean(1).sqrt() + SILENCE
                scales.append(scale.float())
                segment = segment / scale.float()[:, None, None]
            parts.append(self.encoder.step(self.network.filled(segment), EncoderState(), search)[0])
        empty = torch.zeros(len(x), len(codebook_sizes), 0, dtype=torch.long)
        codes = torch.cat([empty, *parts], dim=2).numpy().astype(np.uint16)
        if segments is None:
            return codes, None
        stacked = torch.stack(scales, 1).numpy() if scales else None
        return codes, Levels(x.shape[-1], stacked)

    @torch.inference_mode()
    def decode(self, codes: Codes, levels: Levels | None) -> np.ndarray:
        segments = self.network.config.segments
        if codes.shape[2] == 0:
            return np.zeros((len(codes), self.facts.channels, 0), np.float32)
        if segments is None or levels is None:
            return self._decode(codes).cpu().numpy()
        found = self._spans(levels.samples)
        if not found or found[-1].last != codes.shape[2]:
            raise ModelError(
                f"The tokens have {codes.shape[2]} frames, and their recording of {levels.samples} samples "
                f"has {found[-1].last if found else 0}: a file of this model can be trimmed, but not cut."
            )
        parts = [self._decode(codes[..., span.first : span.last]) for span in found]
        if segments.normalize:
            if levels.scales is None or levels.scales.shape[1] != len(found):
                raise ModelError("The tokens have another number of levels than of segments.")
            scales = torch.from_numpy(levels.scales).to(parts[0].device)
            parts = [part * scales[:, i, None, None] for i, part in enumerate(parts)]
        return _cross_fade(parts, segments.step).cpu().numpy()

    def encoding(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> NoReturn:
        """Raises ModelError: this network does not stream."""
        raise ModelError(f"{self.facts.name} encodes whole recordings only.")

    def decoding(self, codebook_sizes: tuple[int, ...]) -> NoReturn:
        """Raises ModelError: this network does not stream."""
        raise ModelError(f"{self.facts.name} decodes whole recordings only.")

    def _spans(self, samples: int) -> list[Span]:
        config = self.network.config.segments or SegmentsConfig()
        return spans(samples, config.length, config.step, self.facts.hop_length)

    def _decode(self, codes: Codes) -> torch.Tensor:
        latents = self.network.quantizer.decode(
            torch.from_numpy(codes.astype(np.int64)).to(self.network.device)
        )
        return self.network.decoder(latents)[0]


def _cross_fade(parts: list[torch.Tensor], step: int) -> torch.Tensor:
    """Segments `[rows, channels, samples]` that begin every `step` samples as one recording.

    Each has the weight of a triangle over its length, and the sum is divided by that of the weights
    (EnCodec's `_linear_overlap_add`): where two overlap, one fades into the other.
    """
    longest = parts[0].shape[-1]
    at = torch.linspace(0, 1, longest + 2, device=parts[0].device)[1:-1]
    weight = 0.5 - (at - 0.5).abs()
    total = parts[0].new_zeros(*parts[0].shape[:2], step * (len(parts) - 1) + parts[-1].shape[-1])
    weights = total.new_zeros(total.shape[-1])
    for i, part in enumerate(parts):
        end = i * step + part.shape[-1]
        total[..., i * step : end] += weight[: part.shape[-1]] * part
        weights[i * step : end] += weight[: part.shape[-1]]
    return total / weights
