"""Two residual quantizers of one latent, each in a projection of its own (Mimi, Défossez et al. 2024)."""

from __future__ import annotations

import torch
from torch import nn

from codec.errors import ConfigError
from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.config import ResidualConfig, SplitConfig
from codec.quantize.dropout import used_codebooks
from codec.quantize.projection import best_decoding, principal_axes
from codec.quantize.residual import ResidualQuantizer


class ProjectedResidual(nn.Module):
    """`B RVQ(A z)` for latents `[batch, dim, frames]`, with matrices A `[inner, dim]`, B `[dim, inner]`."""

    def __init__(self, config: ResidualConfig, dim: int, inner: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, inner, bias=False)
        self.residual: Quantizer = ResidualQuantizer(config, inner)
        self.unproject = nn.Linear(inner, dim, bias=False)

    def forward(self, z: torch.Tensor, used: torch.Tensor) -> Quantized:
        assert isinstance(self.residual, ResidualQuantizer)
        out = self.residual(self._inside(z), used)
        return out._replace(latents=self._outside(out.latents))

    def encode(self, z: torch.Tensor, n_codebooks: int) -> Exact:
        codes, gap = self.residual.encode(self._inside(z), n_codebooks)
        return Exact(codes, gap / self.steepest())

    @torch.no_grad()
    def steepest(self) -> float:
        """By how much a move of z moves A z, at most: the largest singular value of A."""
        return float(torch.linalg.matrix_norm(self.project.weight.double(), 2))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self._outside(self.residual.decode(codes))

    def start(self, z: torch.Tensor, target: torch.Tensor, generator: torch.Generator) -> None:
        """Places everything, so that latents z are quantized to what is nearest to target."""
        x = z.transpose(1, 2).flatten(0, 1)
        self.project.weight.copy_(principal_axes(x, self.project.out_features)[1])
        inside = self._inside(z)
        self.residual.start(inside, generator)
        found = self.residual.decode(self.residual.encode(inside).codes)
        weight, _ = best_decoding(found.transpose(1, 2).flatten(0, 1), target.transpose(1, 2).flatten(0, 1))
        self.unproject.weight.copy_(weight)

    def _inside(self, z: torch.Tensor) -> torch.Tensor:
        return self.project(z.transpose(1, 2)).transpose(1, 2)

    def _outside(self, x: torch.Tensor) -> torch.Tensor:
        return self.unproject(x.transpose(1, 2)).transpose(1, 2)


class SplitQuantizer(Quantizer):
    """`z' = semantic(z) + acoustic(z)`: both quantize the same latent, neither what the other left over.

    The semantic codes come first; any prefix of the codebooks decodes.
    """

    def __init__(self, config: SplitConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        self.semantic = ProjectedResidual(config.semantic, dim, config.dim)
        self.acoustic = ProjectedResidual(config.acoustic, dim, config.dim)
        self.has_gaps = self.semantic.residual.has_gaps and self.acoustic.residual.has_gaps

    def forward(self, z: torch.Tensor) -> Quantized:
        """Quantizes latents `[batch, dim, frames]` for training; dropout keeps a prefix of the codes."""
        used, first = self._draw(len(z), z.device), self._first
        outs = [self.semantic(z, used.clamp(max=first)), self.acoustic(z, (used - first).clamp(min=0))]
        width = max(self.codebook_sizes)
        counts = [nn.functional.pad(out.counts, (0, width - out.counts.shape[1])) for out in outs]
        return Quantized(
            outs[0].latents + outs[1].latents,
            torch.cat([out.codes for out in outs], 1),
            torch.stack([out.loss for out in outs]).mean(),
            torch.cat(counts),
        )

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of latents `[batch, dim, frames]`, and how far each frame is from having other codes."""
        wanted = len(self.codebook_sizes) if n_codebooks is None else n_codebooks
        first = self.semantic.encode(z, min(wanted, self._first))
        if wanted <= self._first:
            return first
        rest = self.acoustic.encode(z, wanted - self._first)
        return Exact(torch.cat([first.codes, rest.codes], 1), torch.minimum(first.gap, rest.gap))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents `[batch, dim, frames]` of codes `[batch, codebooks, frames]`; any prefix of the codebooks.

        Raises:
            ConfigError: more codebooks than this quantizer has, or none.
        """
        n = codes.shape[1]
        if not 1 <= n <= len(self.codebook_sizes):
            raise ConfigError(f"This quantizer decodes 1 to {len(self.codebook_sizes)} codebooks, not {n}.")
        latents = self.semantic.decode(codes[:, : self._first])
        return latents + self.acoustic.decode(codes[:, self._first :]) if n > self._first else latents

    @torch.no_grad()
    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Places the semantic codes on latents, and the acoustic ones so that the sum comes near to them."""
        self.semantic.start(z, z, generator)
        found = self.semantic.decode(self.semantic.encode(z, self._first).codes)
        self.acoustic.start(z, z - found, generator)

    @torch.no_grad()
    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of ordinary latents: at least what their projections have."""
        steepest = torch.linalg.matrix_norm(self.acoustic.project.weight.double(), 2)
        inside: torch.Tensor = self.acoustic.residual.typical_norm()
        return inside / steepest.to(inside.dtype)

    @torch.no_grad()
    def first_equals(self) -> list[torch.Tensor]:
        """For each codebook the index of the first code that is the same vector, `[size]`."""
        return self.semantic.residual.first_equals() + self.acoustic.residual.first_equals()

    @property
    def _first(self) -> int:
        return self.config.semantic.n_codebooks

    def _draw(self, batch: int, device: torch.device) -> torch.Tensor:
        """How many codebooks each item of the batch uses, `[batch]`."""
        n = len(self.codebook_sizes)
        share = self.config.acoustic.dropout if self.training else 0.0
        return used_codebooks(n, batch, share=share, device=device)
