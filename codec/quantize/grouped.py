"""Product quantization: the latent is turned, cut into groups, and every group has its own codebooks."""

from __future__ import annotations

import torch
from torch import nn

from codec.errors import ConfigError
from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.config import GroupedConfig
from codec.quantize.dropout import used_codebooks
from codec.quantize.residual import ResidualQuantizer
from codec.quantize.rotation import balanced_rotation


class GroupedQuantizer(Quantizer):
    """`z' = R z`, cut into equal parts, each quantized by residual quantization (Jegou et al. 2011; grouped
    residual quantization: HiFi-Codec, Yang et al. 2023). Latents are `R^T` times the joined parts.

    Codes of the first stage of all groups come first, then those of the second, and so on, so that every
    prefix decodes; a group without codes counts as zero.
    """

    rotation: torch.Tensor

    def __init__(self, config: GroupedConfig, dim: int) -> None:
        super().__init__()
        if dim % config.groups:
            raise ConfigError(f"latent_dim {dim} cannot be cut into {config.groups} equal groups.")
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        self.parts = nn.ModuleList(
            ResidualQuantizer(config.each, dim // config.groups) for _ in range(config.groups)
        )
        self.has_gaps = all(part.has_gaps for part in self._parts())
        self.register_buffer("rotation", torch.eye(dim))

    def forward(self, z: torch.Tensor) -> Quantized:
        """Quantizes latents `[batch, dim, frames]` for training; dropout keeps a prefix of the codes."""
        groups = self.config.groups
        used = self._draw(len(z), z.device)
        outs = [
            # Of the first `used` codes, stage by stage, group i has every groups-th.
            part(x, torch.div(used - i + groups - 1, groups, rounding_mode="floor"))
            for i, (part, x) in enumerate(zip(self._parts(), self._cut(z), strict=True))
        ]
        latents = self._join([out.latents for out in outs])
        codes = torch.stack([out.codes for out in outs], 2).flatten(1, 2)
        counts = torch.stack([out.counts for out in outs], 1).flatten(0, 1)
        return Quantized(latents, codes, torch.stack([out.loss for out in outs]).mean(), counts)

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of latents `[batch, dim, frames]`, and how far each frame is from having other codes."""
        wanted = len(self.codebook_sizes) if n_codebooks is None else n_codebooks
        stages = -(-wanted // self.config.groups)
        outs = [part.encode(x, stages) for part, x in zip(self._parts(), self._cut(z), strict=True)]
        codes = torch.stack([out.codes for out in outs], 2).flatten(1, 2)
        # A move of z moves no group further than |R| times as far; stored weights are rounded, so |R| is
        # only about 1.
        steepest = torch.linalg.matrix_norm(self.rotation.double(), 2).to(z.dtype)
        return Exact(codes[:, :wanted], torch.stack([out.gap for out in outs]).amin(0) / steepest)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents `[batch, dim, frames]` of codes `[batch, codebooks, frames]`; any prefix of the codebooks.

        Raises:
            ConfigError: more codebooks than this quantizer has, or none.
        """
        batch, n, frames = codes.shape
        if not 1 <= n <= len(self.codebook_sizes):
            raise ConfigError(f"This quantizer decodes 1 to {len(self.codebook_sizes)} codebooks, not {n}.")
        groups = self.config.groups
        return self._join(
            [
                part.decode(codes[:, i::groups])
                if i < n
                else self.rotation.new_zeros(batch, len(self.rotation) // groups, frames)
                for i, part in enumerate(self._parts())
            ]
        )

    @torch.no_grad()
    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Finds the rotation, then places the codebooks of every group."""
        if self.config.rotate:
            x = z.transpose(1, 2).flatten(0, 1)
            rotation = balanced_rotation(x, self.config.groups, self.config.each.codebook_size, generator)
            self.rotation.copy_(rotation)
        for part, x in zip(self._parts(), self._cut(z), strict=True):
            part.start(x, generator)

    @torch.no_grad()
    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of ordinary latents."""
        return torch.stack([part.typical_norm() for part in self._parts()]).norm()

    @torch.no_grad()
    def first_equals(self) -> list[torch.Tensor]:
        """For each codebook the index of the first code that is the same vector, `[size]`."""
        of_parts = [part.first_equals() for part in self._parts()]
        return [firsts for stage in zip(*of_parts, strict=True) for firsts in stage]

    def _cut(self, z: torch.Tensor) -> list[torch.Tensor]:
        """Turned latents, one `[batch, dim / groups, frames]` a group."""
        return list((self.rotation @ z).chunk(self.config.groups, dim=1))

    def _join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        return self.rotation.T @ torch.cat(parts, 1)

    def _draw(self, batch: int, device: torch.device) -> torch.Tensor:
        """How many codes of a frame each item of the batch uses, `[batch]`."""
        n = len(self.codebook_sizes)
        share = self.config.each.dropout if self.training else 0.0
        return used_codebooks(n, batch, share=share, device=device)

    def _parts(self) -> list[ResidualQuantizer]:
        return [part for part in self.parts if isinstance(part, ResidualQuantizer)]
