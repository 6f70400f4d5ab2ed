"""Codes at several time scales: slow ones for what lasts, fast ones for what changes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from codec.errors import ConfigError
from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.config import TimeHierarchyConfig
from codec.quantize.dropout import used_codebooks
from codec.quantize.residual import ResidualQuantizer


class TimeHierarchyQuantizer(Quantizer):
    """Level by level: `q_i = repeat(VQ_i(mean of s_i frames of r_i)); r_i+1 = r_i - q_i`.

    The two time scales of VQ-VAE-2 (Razavi et al. 2019) in the residual form of SNAC (Siuzdak et al. 2024,
    section 3.1); the latents are the sum of the q_i. A frame of codes spans the longest stride S and has
    `S / s_i` points in time at level i. It holds the codes of level 0, then those of level 1, and so on;
    within a level the first codebook's at all points in order of time, then the second's. Every prefix
    decodes; codes that are missing count as zero.
    """

    def __init__(self, config: TimeHierarchyConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        self.stride = config.stride
        self.levels = nn.ModuleList(
            ResidualQuantizer(replace(config.stages, dropout=0.0), dim) for _ in config.strides
        )
        self.has_gaps = all(level.has_gaps for level in self._levels())

    def forward(self, z: torch.Tensor) -> Quantized:
        """Quantizes latents `[batch, dim, frames * stride]` for training.

        Each level commits what the ones before it could not represent: the gradient of its loss passes
        `r_i`, whose slower parts are constant to it. Dropout (of `stages`) keeps a prefix of all levels'
        codebooks.
        """
        residual, total = z, torch.zeros_like(z)
        each = self.config.stages.n_codebooks
        used = self._draw(len(z), z.device)
        codes, counts, losses = [], [], []
        for i, (level, stride) in enumerate(self._scales()):
            out = level(_mean(residual, stride), (used - i * each).clamp(0, each))
            quantized = out.latents.repeat_interleave(stride, dim=2)
            total, residual = total + quantized, residual - quantized
            points = self.stride // stride
            codes.append(_to_frames(out.codes, points))
            # One row a code of the frame; what a codebook counted is shared by its points in time.
            counts.append(out.counts.repeat_interleave(points, dim=0))
            losses.append(out.loss)
        return Quantized(total, torch.cat(codes, 1), torch.stack(losses).mean(), torch.cat(counts))

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of latents `[batch, dim, frames * stride]`; no mean moves further than the latents do."""
        wanted = len(self.codebook_sizes) if n_codebooks is None else n_codebooks
        residual, missing = z, wanted
        codes, gaps = [], []
        for level, stride in self._scales():
            points = self.stride // stride
            stages = min(-(-missing // points), self.config.stages.n_codebooks)
            out = level.encode(_mean(residual, stride), stages)
            codes.append(_to_frames(out.codes, points))
            gaps.append(out.gap.unflatten(1, (-1, points)).amin(2))
            missing -= codes[-1].shape[1]
            if missing <= 0:
                break
            residual = residual - level.decode(out.codes).repeat_interleave(stride, dim=2)
        return Exact(torch.cat(codes, 1)[:, :wanted], torch.stack(gaps).amin(0))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents `[batch, dim, frames * stride]` of codes `[batch, codebooks, frames]`; any prefix of them.

        Raises:
            ConfigError: more codebooks than this quantizer has, or none.
        """
        n = codes.shape[1]
        if not 1 <= n <= len(self.codebook_sizes):
            raise ConfigError(f"This quantizer decodes 1 to {len(self.codebook_sizes)} codebooks, not {n}.")
        decoded, first = [], 0
        for level, stride in self._scales():
            points = self.stride // stride
            own = codes[:, first : first + points * self.config.stages.n_codebooks]
            if own.shape[1]:
                decoded.append(_decode_level(level, own, points).repeat_interleave(stride, dim=2))
            first += points * self.config.stages.n_codebooks
        return torch.stack(decoded).sum(0)

    @torch.no_grad()
    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Places the codebooks, level by level on the residuals of latents."""
        residual = z
        for level, stride in self._scales():
            mean = _mean(residual, stride)
            level.start(mean, generator)
            quantized = level.decode(level.encode(mean).codes)
            residual = residual - quantized.repeat_interleave(stride, dim=2)

    @torch.no_grad()
    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of ordinary latents: levels add what slower ones left over."""
        return torch.stack([level.typical_norm() for level in self._levels()]).norm()

    @torch.no_grad()
    def first_equals(self) -> list[torch.Tensor]:
        """For each codebook the index of the first code that is the same vector, `[size]`."""
        return [
            firsts
            for level, stride in self._scales()
            for firsts in level.first_equals()
            for _ in range(self.stride // stride)
        ]

    def _draw(self, batch: int, device: torch.device) -> torch.Tensor:
        """How many codebooks of all levels together each item of the batch uses, `[batch]`."""
        n = len(self.levels) * self.config.stages.n_codebooks
        share = self.config.stages.dropout if self.training else 0.0
        return used_codebooks(n, batch, share=share, device=device)

    def _levels(self) -> list[ResidualQuantizer]:
        return [level for level in self.levels if isinstance(level, ResidualQuantizer)]

    def _scales(self) -> list[tuple[ResidualQuantizer, int]]:
        return list(zip(self._levels(), self.config.strides, strict=True))


def _mean(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Means over `stride` frames of `[batch, dim, frames]`."""
    return x.unflatten(2, (-1, stride)).mean(3)


def _to_frames(codes: torch.Tensor, points: int) -> torch.Tensor:
    """Codes `[batch, stages, frames * points]` of a level as codes `[batch, stages * points, frames]`."""
    return codes.unflatten(2, (-1, points)).transpose(2, 3).flatten(1, 2)


def _decode_level(level: ResidualQuantizer, codes: torch.Tensor, points: int) -> torch.Tensor:
    """Latents `[batch, dim, frames * points]` of a prefix of a level's codes `[batch, codes, frames]`."""
    complete, extra = divmod(codes.shape[1], points)
    by_point = []
    for point in range(points):
        stages = complete + (point < extra)
        # Codes of this point in time, one a stage.
        own = codes[:, point::points]
        by_point.append(level.decode(own) if stages else None)
    some = next(x for x in by_point if x is not None)
    return torch.stack([torch.zeros_like(some) if x is None else x for x in by_point], 3).flatten(2)
