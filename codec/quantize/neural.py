"""Codebooks made by small networks (QINCo, Huijben et al. 2024, "Residual quantization with implicit neural
codebooks")."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.beam import Expand, beam_search
from codec.quantize.config import NeuralConfig
from codec.quantize.dropout import used_codebooks
from codec.quantize.gradient import straight_through
from codec.quantize.kmeans import converged_kmeans
from codec.quantize.lookup import nearest, scores
from codec.quantize.usage import dead_codes, replacements, sum_over_ranks

# Of the moving averages that the pre-selecting codebooks and the usage of codes follow.
_DECAY = 0.99

# Where the gain stops falling with the power of what was made, as a share of the power of ordinary latents.
_FLOOR = 1e-2

# Frames whose nearest codes are searched at once.
_AT_ONCE = 1 << 14


class NeuralQuantizer(Quantizer):
    """Residual quantization in which code k of stage i stands for `f_i(x^, c_k)`, with x^ the sum so far.

    Any prefix of the codebooks decodes. How close a call was is not known, so the codec encodes in float64.
    """

    has_gaps = False

    def __init__(self, config: NeuralConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        # Nothing comes before the first stage, so it has no network.
        self.stages = nn.ModuleList(
            NeuralStage(config.codebook_size, dim, config.hidden, config.blocks if i else 0)
            for i in range(config.n_codebooks)
        )

    def forward(self, z: torch.Tensor) -> Quantized:
        """Quantizes latents `[batch, dim, frames]` for training.

        The loss is `|sg(z) - x^_i|^2 + commitment |z - sg(x^_i)|^2`, averaged over stages, with x^_i the sum
        of the first i codes (the loss of every stage of section 3, and the commitment of VQ-VAE); the first
        part's gradient reaches all stages up to i. Dropout as in `ResidualQuantizer`.
        """
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        target = x.detach()
        used = self._draw(batch, z.device).repeat_interleave(frames)
        made, kept = torch.zeros_like(x), torch.zeros_like(x)
        codes, counts, loss = [], [], x.new_zeros(())
        for index, stage in enumerate(self._stages()):
            with torch.no_grad():
                residual = target - made
                chosen = self._greedy(stage, residual, made)
                scaled = residual / stage.gains(made)
            made = made + stage.vectors(chosen, made)
            keep = used > index
            kept = torch.where(keep[:, None], made, kept)
            pull_codes = (target - made).square().mean(1)
            pull_latents = (x - made.detach()).square().mean(1)
            losses = (pull_codes + self.config.commitment * pull_latents) * keep
            loss = loss + losses.sum() / keep.sum().clamp(min=1)
            counts.append(torch.bincount(chosen[keep], minlength=stage.size))
            if self.training:
                stage.learn(scaled[keep], chosen[keep], self.config.restart_below)
            codes.append(chosen)
        latents = straight_through(x, kept).reshape(batch, frames, dim).transpose(1, 2)
        stacked = torch.stack(codes, 1).reshape(batch, frames, -1).transpose(1, 2)
        return Quantized(latents, stacked, loss / len(self.stages), torch.stack(counts))

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of latents `[batch, dim, frames]`; the gaps are 0."""
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        stages = [self._expand(stage) for stage in self._stages()[:n_codebooks]]
        candidates = self._candidates()
        widest = max(2 * dim, self.config.hidden)
        codes = beam_search(x, stages, self.config.beam, self.config.codebook_size + candidates * widest)
        codes = codes.reshape(batch, frames, -1).transpose(1, 2)
        return Exact(codes, z.new_zeros(batch, frames))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents `[batch, dim, frames]` of codes `[batch, codebooks, frames]`; any prefix of the codebooks.

        Raises:
            ConfigError: more codebooks than this quantizer has, or none.
        """
        batch, n, frames = codes.shape
        if not 1 <= n <= len(self.stages):
            raise ConfigError(f"This quantizer decodes 1 to {len(self.stages)} codebooks, not {n}.")
        first = self._stages()[0]
        made = first.codebook[codes[:, 0].reshape(-1)]
        for i, stage in enumerate(self._stages()[1:n], 1):
            made = made + stage.vectors(codes[:, i].reshape(-1), made)
        return made.reshape(batch, frames, -1).transpose(1, 2)

    @torch.no_grad()
    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Places the codes by k-means of residuals in units of the gain, weighted by its square.

        So weighted, the error is that of the residuals themselves. The networks start fresh, as if they were
        not there.
        """
        x = z.transpose(1, 2).flatten(0, 1)
        scale, left = x.square().mean().sqrt(), x.clone()
        for stage in self._stages():
            stage.renew(left, x - left, scale)
            gain = stage.gains(x - left)
            weights = gain[:, 0].square()
            codebook, _ = converged_kmeans(left / gain, stage.size, generator=generator, weights=weights)
            counts = torch.zeros(stage.size, dtype=x.dtype, device=x.device)
            for part, factor in zip(left.split(_AT_ONCE), gain.split(_AT_ONCE), strict=True):
                codes = nearest(part / factor, codebook)
                counts += torch.bincount(codes, minlength=stage.size)
                part -= factor * codebook[codes]
            stage.place(codebook, counts)

    @torch.no_grad()
    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of the first codebook's vectors: the size of an ordinary latent."""
        return self._stages()[0].codebook.square().sum(1).mean().sqrt()

    def _candidates(self) -> int:
        """Codes of a stage that its network judges."""
        return min(self.config.candidates or self.config.codebook_size, self.config.codebook_size)

    def _greedy(self, stage: NeuralStage, residual: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """The best code of one stage for residuals `[n, dim]`, `[n]`."""
        turn = max(1, (1 << 23) // (self.config.codebook_size + self._candidates() * residual.shape[1] * 2))
        expand = self._expand(stage)
        best = []
        for left, so_far in zip(residual.split(turn), made.split(turn), strict=True):
            codes, vectors = expand(left, so_far)
            errors = (left[:, None] - vectors).square().sum(2)
            best.append(codes.gather(1, errors.argmin(1, keepdim=True))[:, 0])
        return torch.cat(best)

    def _expand(self, stage: NeuralStage) -> Expand:
        """The codes of a stage that a plain codebook finds likely, and what its network makes of them."""
        size = self._candidates()

        def expand(residual: torch.Tensor, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            if size == stage.size:
                codes = torch.arange(size, device=made.device).expand(len(made), -1)
            else:
                codes = scores(residual / stage.gains(made), stage.rough).topk(size, dim=1).indices
            return codes, stage.vectors(codes, made[:, None])

        return expand

    def _draw(self, batch: int, device: torch.device) -> torch.Tensor:
        """How many codebooks each item of the batch uses, `[batch]`."""
        n = len(self.stages)
        share = self.config.dropout if self.training else 0.0
        return used_codebooks(n, batch, share=share, device=device)

    def _stages(self) -> list[NeuralStage]:
        return [stage for stage in self.stages if isinstance(stage, NeuralStage)]


class NeuralStage(nn.Module):
    """`f(x^, c) = v_L`, `v_0 = u + W [u; x^] + b`, `v_l+1 = v_l + W'' relu(W' v_l + b') + b''` (section 3).

    In the paper `u = c`; here `u = g(x^) c` with `g(x^) = (|x^|^2 / D + 0.01)^p`, for latents in D dimensions
    in units of their size: what is left of loud latents is as a rule loud. The paper's network would need
    many units for a product of its inputs. p is learned, and 0 gives the paper's form.

    The last layer of every sum starts at zero, so that a fresh network returns its codes times the gain.

    rough: a plain codebook `[size, dim]`, the moving average of the residuals over g that chose each code.
    Its nearest codes are those worth judging by the network (the pre-selection of QINCo2, Vallaeys et al.
    2025).
    """

    rough: torch.Tensor
    usage: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int, dim: int, hidden: int, blocks: int) -> None:
        super().__init__()
        self.size = size
        self.codebook = nn.Parameter(torch.randn(size, dim) / dim**0.5)
        self.blocks = nn.ModuleList(_block(dim, hidden) for _ in range(blocks))
        self.join = nn.Linear(2 * dim, dim) if blocks else None
        if self.join is not None:
            nn.init.zeros_(self.join.weight)
            nn.init.zeros_(self.join.bias)
        self.power = nn.Parameter(torch.zeros(())) if blocks else None
        self.register_buffer("rough", self.codebook.detach().clone())
        self.register_buffer("usage", torch.ones(size))
        # Size of ordinary latents; the network sees them divided by it.
        self.register_buffer("scale", torch.ones(()))

    def vectors(self, codes: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """What codes `[...]` stand for where made `[..., dim]` was made before, `[..., dim]`."""
        if self.join is None:
            return self.codebook[codes]
        # W [u; x^] in two parts: the codes' once for the whole codebook, x^'s once for all codes.
        dim = self.codebook.shape[1]
        table = self.codebook / self.scale
        table = table + F.linear(table, self.join.weight[:, :dim])
        v = self.gains(made) * table[codes]
        v = v + F.linear(made / self.scale, self.join.weight[:, dim:], self.join.bias)
        for block in self.blocks:
            v = v + block(v)
        return v * self.scale

    def gains(self, made: torch.Tensor) -> torch.Tensor:
        """g, by which codes are multiplied where made `[..., dim]` was made before, `[..., 1]`."""
        if self.power is None:
            return made.new_ones(1).expand(*made.shape[:-1], 1)
        return self._loudness(made).pow(self.power)

    @torch.no_grad()
    def renew(self, left: torch.Tensor, made: torch.Tensor, scale: torch.Tensor) -> None:
        """A fresh network, with the gain that fits residuals left `[n, dim]` where made `[n, dim]` was made.

        scale: size of ordinary latents. The slope of the residuals' power over that of what was made, both in
        decibels, gives p by least squares.
        """
        self.scale.copy_(scale.clamp(min=1e-6))
        for layer in (self.join, *(block[2] for block in self.blocks if isinstance(block, nn.Sequential))):
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        if self.power is not None:
            loud, rest = self._loudness(made).log(), self._loudness(left).log()
            loud, rest = loud - loud.mean(), rest - rest.mean()
            slope = (loud * rest).mean() / loud.square().mean().clamp(min=1e-6)
            # Half of it, since gains multiply amplitudes.
            self.power.copy_(slope.clamp(0, 1) / 2)

    @torch.no_grad()
    def place(self, codebook: torch.Tensor, counts: torch.Tensor) -> None:
        """Places codes `[size, dim]`, used counts `[size]` times."""
        self.codebook.copy_(codebook)
        self.rough.copy_(codebook)
        self.usage.copy_(counts * self.size / counts.sum().clamp(min=1))

    def _loudness(self, x: torch.Tensor) -> torch.Tensor:
        return (x / self.scale).square().mean(-1, keepdim=True) + _FLOOR

    @torch.no_grad()
    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        """Moves the pre-selecting codebook to residuals x `[n, dim]` that chose codes `[n]` in all processes.

        Residuals are those over the gain.

        Codes that hardly anybody chooses are placed anew on residuals.
        """
        counts = sum_over_ranks(torch.bincount(codes, minlength=self.size).to(x.dtype))
        sums = sum_over_ranks(torch.zeros_like(self.rough).index_add_(0, codes, x))
        if not counts.any():
            return
        self.usage.lerp_(counts, 1 - _DECAY)
        # The share of the step in the average, as if the average held `usage / (1 - g)` residuals.
        share = (1 - _DECAY) * counts / self.usage.clamp(min=1e-6)
        means = sums / counts.clamp(min=1)[:, None]
        self.rough.lerp_(means, share.clamp(max=1)[:, None])
        dead = dead_codes(self.usage, restart_below)
        if len(dead):
            fresh = replacements(x, self.rough[dead])
            moved = (fresh != self.rough[dead]).any(1)
            self.rough[dead] = fresh
            self.codebook[dead[moved]] = fresh[moved]
            self.usage[dead] = self.usage.sum() / self.size


def _block(dim: int, hidden: int) -> nn.Sequential:
    block = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
    last = block[2]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return block
