"""Codebook features (Tamkin et al. 2023): a latent is the sum of the few codes that are most like it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codec.errors import ConfigError
from codec.quantize.base import Exact, Quantized, Quantizer
from codec.quantize.combinations import Combinations
from codec.quantize.config import TopKConfig
from codec.quantize.gradient import straight_through
from codec.quantize.kmeans import kmeans
from codec.quantize.usage import dead_codes, replacements, sum_over_ranks


class TopKQuantizer(Quantizer):
    """`q = sum of e_j, j in S`, S the k codes most similar to z (section 3.1 of the paper).

    Which codes they are is one number below C(size, k), and the codes are its digits (`Combinations`), so no
    prefix of them decodes. The check of damaged digits depends on the data, so the decoder's graph does not
    export; the encoder's does.
    """

    usage: torch.Tensor

    def __init__(self, config: TopKConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        self.codebook = nn.Parameter(torch.randn(config.codebook_size, dim) / (dim * config.k) ** 0.5)
        self.register_buffer("usage", torch.ones(config.codebook_size))
        self._sets = Combinations(config.codebook_size, config.k, len(self.codebook_sizes))

    def forward(self, z: torch.Tensor) -> Quantized:
        """Quantizes latents `[batch, dim, frames]` for training.

        Straight-through, with VQ-VAE's two losses on the sum of the codes. Gradient only reaches codes that
        were chosen; in training mode those that hardly ever are take the place of latents.
        """
        batch, dim, frames = z.shape
        x = z.transpose(1, 2).reshape(-1, dim)
        with torch.no_grad():
            sets = self._most_similar(x)[0]
        made = self.codebook[sets].sum(1)
        pull_codes = (x.detach() - made).square().mean()
        pull_latents = (x - made.detach()).square().mean()
        loss = self.config.codebook_weight * pull_codes + self.config.commitment * pull_latents
        latents = straight_through(x, made).reshape(batch, frames, dim).transpose(1, 2)
        digits = self._sets.number(sets)
        if self.training:
            self._learn(x.detach(), sets)
        widest = max(self.codebook_sizes)
        counts = torch.stack([torch.bincount(digit, minlength=widest) for digit in digits.unbind(1)])
        return Quantized(latents, digits.reshape(batch, frames, -1).transpose(1, 2), loss, counts)

    @torch.no_grad()
    def encode(self, z: torch.Tensor, n_codebooks: int | None = None) -> Exact:
        """Codes of latents `[batch, dim, frames]`, and how far each frame is from having other codes.

        Raises:
            ConfigError: fewer codebooks than all.
        """
        self._check(len(self.codebook_sizes) if n_codebooks is None else n_codebooks)
        batch, dim, frames = z.shape
        sets, gap = self._most_similar(z.transpose(1, 2).reshape(-1, dim))
        codes = self._sets.number(sets).reshape(batch, frames, -1).transpose(1, 2)
        return Exact(codes, gap.reshape(batch, frames))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Latents `[batch, dim, frames]` of codes `[batch, codebooks, frames]`.

        Raises:
            ConfigError: fewer codebooks than all, or digits of a number that stands for no set of codes.
        """
        self._check(codes.shape[1])
        digits = codes.transpose(1, 2)
        if not bool(self._sets.valid(digits).all()):
            raise ConfigError("The codes hold a number that stands for no set of codes: they are damaged.")
        return self.codebook[self._sets.set(digits)].sum(2).transpose(1, 2)

    @torch.no_grad()
    def start(self, z: torch.Tensor, generator: torch.Generator) -> None:
        """Places the codes at 1 / k of the centroids of k-means: k that are alike sum to their like."""
        x = z.transpose(1, 2).flatten(0, 1)
        centroids, counts = kmeans(x, self.config.codebook_size, generator=generator)
        self.codebook.copy_(centroids / self.config.k)
        self.usage.copy_(counts * len(counts) / counts.sum().clamp(min=1))

    @torch.no_grad()
    def typical_norm(self) -> torch.Tensor:
        """Root mean square of the norms of k times one code: the size of an ordinary latent at the start."""
        return self.config.k * self.codebook.square().sum(1).mean().sqrt()

    def _most_similar(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The k most similar codes of each vector, `[n, k]`, and how far it may move and keep them, `[n]`.

        Between a code a inside and b outside the set lies the plane on which they are equally similar, which
        is the difference of their scores divided by |a - b| away, so at least by 2 max |e|.
        """
        k = self.config.k
        if self.config.similarity == "cosine":
            # The length of x changes no order.
            score, reach = x @ F.normalize(self.codebook).T, x.new_tensor(1.0)
        else:
            squares = self.codebook.square().sum(1)
            # Nearness of e to x / k, in the units of x: k e . (x / k) - k |e|^2 / 2.
            score, reach = x @ self.codebook.T - k / 2 * squares, squares.max().sqrt()
        best, sets = score.topk(k + 1, dim=1)
        gap = (best[:, k - 1] - best[:, k]) / (2 * reach.clamp(min=torch.finfo(x.dtype).tiny))
        return sets[:, :k], gap

    @torch.no_grad()
    def _learn(self, x: torch.Tensor, sets: torch.Tensor) -> None:
        counts = torch.bincount(sets.flatten(), minlength=len(self.usage)).to(x.dtype)
        self.usage.lerp_(sum_over_ranks(counts), 0.01)
        dead = dead_codes(self.usage, self.config.restart_below)
        if len(dead):
            self.codebook[dead] = replacements(x / self.config.k, self.codebook[dead])
            self.usage[dead] = self.usage.sum() / len(self.usage)

    def _check(self, n: int) -> None:
        if n != len(self.codebook_sizes):
            raise ConfigError(
                f"The codes of this quantizer are the digits of one number: all {len(self.codebook_sizes)} "
                f"codebooks decode together, not {n} of them."
            )
