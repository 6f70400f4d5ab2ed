"""A residual quantizer for inference only: what does not depend on the latents is computed once.

It finds the codes of the quantizer that it was made of, and gaps that are as safe. A stage costs one matrix
product with a bias, the largest score, and a look at the runner-up; nothing of `[frames, size, dim]` exists.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.nn.inference import linear
from codec.quantize.base import Exact, Quantizer
from codec.quantize.cosine import CosineStage
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.gumbel import GumbelStage
from codec.quantize.lookup import border, first_equals
from codec.quantize.paths import Paths
from codec.quantize.rates import FixedStage
from codec.quantize.residual import ResidualQuantizer
from codec.quantize.scalar import ScalarStage
from codec.quantize.sim import SimStage
from codec.quantize.split import SplitQuantizer
from codec.quantize.stage import Stage
from codec.quantize.stochastic import StochasticStage
from codec.quantize.vq_vae import GradientStage

# Codebooks of vectors of the latents' space, searched by Euclidean distance.
_BY_DISTANCE = (EuclideanStage, FixedStage, GradientStage, GumbelStage, SimStage, StochasticStage)

# Up to so many frames a partial sort is fastest; beyond, two searches for the largest.
_FEW = 8
# Gaps below this share of a latent's norm (or a typical one's) are computed as in `lookup.match`. It is above
# what rounding can move (`codec.recheck`); for larger gaps a looser bound is enough.
_CLOSE = 3e-5


def prepare(quantizer: Quantizer, price: float = 0.0) -> Quantizer:
    """The same for inference, faster where its structure allows; the quantizer itself elsewhere.

    Later changes of the quantizer do not reach what this returns.

    price: what a code must gain, in squared distance, not to be skipped (`quantize.prices`).

    Raises:
        ConfigError: a price, and a quantizer that cannot skip codes.
    """
    if price > 0 and not (isinstance(quantizer, ResidualQuantizer) and quantizer.config.skips > 0):
        raise ConfigError("Only residual quantizers that were trained with skips can skip codes.")
    if isinstance(quantizer, SplitQuantizer):
        return PreparedSplit(quantizer)
    if not isinstance(quantizer, ResidualQuantizer):
        return quantizer
    stages = [stage for stage in quantizer.stages if isinstance(stage, Stage)]
    if quantizer.config.beam > 1 or price > 0:
        codebooks = [stage.all_vectors().detach() for stage in stages]
        return PreparedPaths(codebooks, quantizer.config.beam, price)
    if all(isinstance(stage, _BY_DISTANCE) for stage in stages):
        return PreparedResidual([stage.all_vectors().detach() for stage in stages])
    if all(isinstance(stage, CosineStage | ScalarStage) for stage in stages):
        return PreparedSearch(stages)
    return quantizer


class PreparedResidual(Quantizer):
    """Codebooks `[size, dim]`, each searched by Euclidean distance for what those before it left."""

    table: torch.Tensor
    bias: torch.Tensor
    norms: torch.Tensor
    starts: torch.Tensor

    def __init__(self, codebooks: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.codebook_sizes = tuple(len(codebook) for codebook in codebooks)
        table = torch.cat(list(codebooks)).detach()
        self.register_buffer("table", table)
        self.register_buffer("bias", table.square().sum(1) * -0.5)
        self.register_buffer("norms", table.norm(dim=1))
        parts = self.norms.split(self.codebook_sizes)
        self._largest = torch.stack([part.max() for part in parts]).tolist()
        self._typical = float(codebooks[0].square().sum(1).mean().sqrt())
        starts = torch.tensor([0, *self.codebook_sizes[:-1]]).cumsum(0)
        self.register_buffer("starts", starts.to(table.device))

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        close = _CLOSE * x.norm(dim=1).clamp(min=self._typical)
        gap = torch.full((len(x),), torch.inf, dtype=z.dtype, device=z.device)
        codes = []
        tables, biases = (part.split(self.codebook_sizes) for part in (self.table, self.bias))
        for stage, (table, bias) in enumerate(zip(tables[:n_codebooks], biases, strict=False)):
            scores = linear(x, table, bias)
            if len(x) <= _FEW:
                found, own = self._match(x, scores, stage)
            else:
                found, own = self._match_many(x, scores, stage, close)
            if stage + 1 < len(self.codebook_sizes):  # nobody needs what the last one leaves
                x = x - F.embedding(found, table)
            gap = torch.minimum(gap, own)
            codes.append(found)
        stacked = torch.stack(codes, 1).reshape(batch, frames, -1).transpose(1, 2)
        return Exact(stacked, gap.reshape(batch, frames))

    def _match(self, x: torch.Tensor, scores: torch.Tensor, stage: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `lookup.match` of x `[n, dim]`, whose scores are `[n, size]`."""
        first = sum(self.codebook_sizes[:stage])
        size = self.codebook_sizes[stage]
        best, top = scores.topk(min(3, size), dim=1)
        table = self.table[first : first + size]
        gap = border(x, F.embedding(top[:, 0], table), F.embedding(top[:, 1], table))
        if size > 2:
            farthest = self.norms[first : first + size][top[:, 0]] + self._largest[stage]
            others = (best[:, 0] - best[:, 2]) / farthest
            gap = torch.minimum(gap, others.masked_fill_(farthest == 0, torch.inf))
        return top[:, 0], gap

    def _match_many(
        self, x: torch.Tensor, scores: torch.Tensor, stage: int, close: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for many frames; gaps that are not close may be given too small."""
        first = sum(self.codebook_sizes[:stage])
        best, codes = scores.max(1, keepdim=True)
        farthest = F.embedding(codes[:, 0] + first, self.norms[:, None])[:, 0] + self._largest[stage]
        scores.scatter_(1, codes, -torch.inf)
        # No code scores better than the runner-up, or is farther away than this.
        gap = (best[:, 0] - scores.amax(1)) / farthest
        rows = (~(gap > close)).nonzero()[:, 0]
        if len(rows):
            scores.scatter_(1, codes, best)
            codes[rows, 0], gap[rows] = self._match(x[rows], scores[rows], stage)
        return codes[:, 0], gap

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        batch, n, frames = codes.shape
        if not 1 <= n <= len(self.codebook_sizes):
            raise ConfigError(f"This quantizer decodes 1 to {len(self.codebook_sizes)} codebooks, not {n}.")
        rows = (codes.transpose(1, 2) + self.starts[:n]).reshape(-1, n)
        return F.embedding_bag(rows, self.table, mode="sum").reshape(batch, frames, -1).transpose(1, 2)

    def typical_norm(self) -> torch.Tensor:
        return torch.tensor(self._typical)

    def first_equals(self) -> list[torch.Tensor]:
        return [first_equals(table) for table in self.table.split(self.codebook_sizes)]


class PreparedPaths(PreparedResidual):
    """Codebooks `[size, dim]`, searched by a beam of sums; price: as of `prepare`."""

    def __init__(self, codebooks: Sequence[torch.Tensor], beam: int, price: float = 0.0) -> None:
        super().__init__(codebooks)
        self._paths = Paths(self.table.split(self.codebook_sizes), beam)
        self._price = price

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        return self._paths.encode(z, n_codebooks, z.new_full((len(z),), self._price))


class PreparedSearch(PreparedResidual):
    """Codebooks that are searched in other ways; what their codes stand for is looked up in a table."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__([stage.all_vectors().detach() for stage in stages])
        self._finders = [stage.finder() for stage in stages]

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        gap = torch.full((len(x),), torch.inf, dtype=z.dtype, device=z.device)
        codes: list[torch.Tensor] = []
        tables = self.table.split(self.codebook_sizes)
        for find, table in zip(self._finders[:n_codebooks], tables, strict=False):
            found = find(x)
            if len(codes) + 1 < len(self.codebook_sizes):
                x = x - F.embedding(found.codes, table)
            gap = torch.minimum(gap, found.gap)
            codes.append(found.codes)
        stacked = torch.stack(codes, 1).reshape(batch, frames, -1).transpose(1, 2)
        return Exact(stacked, gap.reshape(batch, frames))


class PreparedSplit(Quantizer):
    """Both halves of a split quantizer, prepared."""

    def __init__(self, quantizer: SplitQuantizer) -> None:
        super().__init__()
        halves = (quantizer.semantic, quantizer.acoustic)
        self.codebook_sizes, self.has_gaps = quantizer.codebook_sizes, quantizer.has_gaps
        self.projections = nn.ModuleList(half.project for half in halves)
        self.unprojections = nn.ModuleList(half.unproject for half in halves)
        self._residuals = [prepare(half.residual) for half in halves]
        self._steepest = [half.steepest() for half in halves]
        self._typical = quantizer.typical_norm()

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        found = [
            residual.encode(project(z.transpose(1, 2)).transpose(1, 2), count)
            for residual, project, count in zip(
                self._residuals, self.projections, self._counts(n_codebooks), strict=True
            )
            if count
        ]
        gaps = [part.gap / steepest for part, steepest in zip(found, self._steepest, strict=False)]
        return Exact(torch.cat([part.codes for part in found], 1), torch.stack(gaps).amin(0))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        parts = codes.split(self._counts(codes.shape[1]), dim=1)
        made = [
            unproject(residual.decode(part).transpose(1, 2)).transpose(1, 2)
            for residual, unproject, part in zip(self._residuals, self.unprojections, parts, strict=True)
            if part.shape[1]
        ]
        return made[0] if len(made) == 1 else made[0] + made[1]

    def typical_norm(self) -> torch.Tensor:
        return self._typical

    def first_equals(self) -> list[torch.Tensor]:
        return [indices for residual in self._residuals for indices in residual.first_equals()]

    def _counts(self, n_codebooks: int | None) -> list[int]:
        """Codebooks of each half, of so many in all; raises ConfigError when there are not so many."""
        n = len(self.codebook_sizes)
        wanted = n if n_codebooks is None else n_codebooks
        if not 1 <= wanted <= n:
            raise ConfigError(f"This quantizer has 1 to {n} codebooks, not {wanted}.")
        first = min(wanted, len(self._residuals[0].codebook_sizes))
        return [first, wanted - first]
