"""Residual vector quantization (SoundStream, Zeghidour et al. 2021, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from codec.errors import ConfigError
from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.build_stage import build_stage
from codec.quantize.config import ResidualConfig
from codec.quantize.dropout import used_codebooks
from codec.quantize.gradient import noise_substitution, straight_through
from codec.quantize.lookup import first_equals, nearest
from codec.quantize.paths import Paths
from codec.quantize.prices import drawn_prices
from codec.quantize.stage import Stage
from codec.quantize.usage import soft_entropy
from codec.variable import SKIP


class ResidualQuantizer(Quantizer):
    """`r_0 = z; q_i = VQ_i(r_i-1); r_i = r_i-1 - q_i`; the latents are the sum of the q_i.

    Any prefix of the codebooks decodes, so a lower rate needs fewer codes and no second encoding.
    """

    def __init__(self, config: ResidualConfig, dim: int, stages: Sequence[Stage] | None = None) -> None:
        """stages: codebooks that there are already; fresh ones, as config says, if not given."""
        super().__init__()
        self.config = config
        if stages is None:
            stages = [build_stage(config, size, dim) for size in config.codebook_sizes]
        self._skips = config.skips > 0
        self.codebook_sizes = tuple(stage.size for stage in stages)
        self.stages = nn.ModuleList(stages)
        self.has_gaps = config.beam > 1 or all(stage.has_gaps for stage in self._stages())

    def forward(self, z: torch.Tensor, used: torch.Tensor | None = None) -> Quantized:
        """Quantizes latents `[batch, dim, frames]` for training.

        In training mode the codebooks learn, and items drop a random number of codebooks (quantizer dropout,
        SoundStream section III-C): one quantizer then serves all rates. `used` `[batch]` says how many
        codebooks each item uses, for a structure that draws them for all its parts together.
        """
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        prices = self.draw_prices(batch, self.config.skips).repeat_interleave(frames) if self._skips else None
        used = self._draw_codebooks(batch, z.device) if used is None else used
        used = used.repeat_interleave(frames)
        if prices is not None:
            # What has a price uses all codebooks, as far as they are worth it.
            used = torch.where(prices > 0, len(self.stages), used)
        # Two residuals of equal value. `residual` carries the gradient that the stages pass on: with
        # straight-through it is zero after the first stage, so that the sum passes the gradient to z exactly
        # once. `anchor` lets the commitment of every stage reach z.
        residual, anchor, total = x, x, torch.zeros_like(x)
        codes, loss, counts = [], x.new_zeros(()), []
        for index, stage in enumerate(self._stages()):
            quantized, chosen, losses = stage.train_step(residual, anchor, self.config.commitment)
            kept = used > index
            if prices is not None:
                left = anchor.detach() - quantized.detach()
                worth = anchor.detach().square().sum(1) - left.square().sum(1) > prices
                kept, chosen = kept & worth, torch.where(worth, chosen, SKIP)
                quantized = quantized * worth.to(x.dtype)[:, None]
            keep = kept.to(x.dtype)
            loss = loss + (losses * keep).sum() / keep.sum().clamp(min=1)
            total = total + quantized * keep[:, None]
            counts.append(torch.bincount(chosen[kept], minlength=stage.size))
            if self.config.entropy_bonus > 0:
                bonus = soft_entropy(stage.distances(anchor[kept]))
                loss = loss - self.config.entropy_bonus * bonus
            if self.training:
                stage.learn(residual.detach()[kept], chosen[kept], self.config.restart_below)
            residual = residual - quantized
            anchor = anchor - quantized.detach()
            codes.append(chosen)
        if self.config.gradient == "nsvq":
            total = noise_substitution(x, total) if self.training else straight_through(x, total)
        latents = total.reshape(batch, frames, dim).transpose(1, 2)
        stacked = torch.stack(codes, 1).reshape(batch, frames, -1).transpose(1, 2)
        return Quantized(latents, stacked, loss / len(self.stages), torch.stack(counts))

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of latents `[batch, dim, frames]`, and how far each frame is from having other codes."""
        if self.config.beam > 1:
            return self.paths().encode(z, n_codebooks)
        batch, dim, frames = z.shape
        residual = z.transpose(1, 2).reshape(-1, dim)
        gap = torch.full((len(residual),), torch.inf, dtype=z.dtype, device=z.device)
        codes = []
        for stage in self._stages()[:n_codebooks]:
            matched = stage.match(residual)
            residual = residual - stage.vectors(matched.codes)
            gap = torch.minimum(gap, matched.gap)
            codes.append(matched.codes)
        stacked = torch.stack(codes, 1).reshape(batch, frames, -1).transpose(1, 2)
        return Exact(stacked, gap.reshape(batch, frames))

    def paths(self) -> Paths:
        """The codebooks as they are now, to search several sums at once, or at a price."""
        return Paths([stage.all_vectors() for stage in self._stages()], self.config.beam)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents `[batch, dim, frames]` of codes `[batch, codebooks, frames]`; any prefix of the codebooks.

        Raises:
            ConfigError: more codebooks than this quantizer has, or none.
        """
        batch, n, frames = codes.shape
        if not 1 <= n <= len(self.stages):
            raise ConfigError(f"This quantizer decodes 1 to {len(self.stages)} codebooks, not {n}.")
        total = torch.stack(
            [stage.vectors(codes[:, i].reshape(-1)) for i, stage in enumerate(self._stages()[:n])]
        )
        return total.sum(0).reshape(batch, frames, -1).transpose(1, 2)

    @torch.no_grad()
    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of the first codebook's vectors: the size of an ordinary latent."""
        return self._stages()[0].all_vectors().square().sum(1).mean().sqrt()

    @torch.no_grad()
    def first_equals(self) -> list[torch.Tensor]:
        """For each codebook the index of the first code that is the same vector, `[size]`."""
        return [first_equals(stage.all_vectors().detach()) for stage in self._stages()]

    @torch.no_grad()
    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Places all codebooks by k-means, stage by stage on the residuals of latents."""
        x = z.transpose(1, 2).flatten(0, 1)
        for stage in self._stages():
            stage.start(x, generator)
            x = x - stage.vectors(stage.search(x))

    @torch.no_grad()
    def start_from(self, codebooks: Sequence[torch.Tensor], z: torch.Tensor) -> None:
        """Starts at codebooks `[size, dim]` that there are already, where codes are free vectors.

        Args:
            codebooks: one a stage, of its size.
            z: latents `[batch, dim, frames]` that show how often codes are used.
        """
        x = z.transpose(1, 2).flatten(0, 1)
        for stage, codebook in zip(self._stages(), codebooks, strict=True):
            codes = torch.cat([nearest(part, codebook) for part in x.split(1 << 14)])
            stage.place(codebook, torch.bincount(codes, minlength=stage.size).to(x.dtype), x)
            x = x - codebook[codes]

    @torch.no_grad()
    def draw_prices(self, batch: int, share: float) -> torch.Tensor:
        """What a code must gain for each item of a batch, in squared distance, `[batch]`.

        That of a share of them is drawn, in training mode; 0 is that of the others.
        """
        typical = self.typical_norm().square()
        return drawn_prices(batch, share=share if self.training else 0.0, typical=typical)

    def _draw_codebooks(self, batch: int, device: torch.device) -> torch.Tensor:
        """How many codebooks each item of the batch uses, `[batch]`."""
        n = len(self.stages)
        share = self.config.dropout if self.training else 0.0
        return used_codebooks(n, batch, share=share, law=self.config.dropout_law, device=device)

    def _stages(self) -> list[Stage]:
        return [stage for stage in self.stages if isinstance(stage, Stage)]
