"""Lattice codebooks: rounding instead of a search, in a projection of few dimensions."""

from __future__ import annotations

import torch
from torch import nn

from codec.quantize.config import LatticeConfig
from codec.quantize.lattice_points import NEAREST, first_points, minimal_vectors
from codec.quantize.lookup import Match, match, nearest
from codec.quantize.projection import best_decoding, principal_axes
from codec.quantize.stage import Stage, Trained
from codec.quantize.usage import perplexity


class LatticeStage(Stage):
    """`q = B l(B^-1 y)`, `y = W_in x`, decoded as `W_out q + b`.

    l rounds to the nearest integers, for a learned basis B (Babai's rounding; OLVQ, Zhang et al. 2024, and
    LL-VQ-VAE, Khalil et al. 2023), or to the nearest point of D4 or E8, for which B is the identity.

    A codebook has the `size` lattice points nearest to the origin, before B. A vector whose lattice point is
    not among them gets the nearest (by Euclidean distance, after B) of those that are, found by search; with
    D4 and E8 the code is therefore always that of the nearest point of the bounded set. That search depends
    on the data, so the encoder's graph does not export; the decoder's does.
    """

    def __init__(self, config: LatticeConfig, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self._config = config
        self._round = NEAREST[config.lattice]
        inner = config.dimensions
        self.project = nn.Linear(dim, inner)
        self.unproject = nn.Linear(inner, dim)
        learned = config.lattice == "learned"
        self.basis = nn.Parameter(torch.eye(inner)) if learned else None
        doubled = torch.from_numpy(first_points(config.lattice, inner, size))
        # Constants, so no part of the weights.
        self.register_buffer("_points", doubled.float() / 2, persistent=False)
        # Points as numbers: coordinates as digits, sorted so that a lookup is a bisection.
        self._most = int(doubled.abs().max())
        base = 2 * self._most + 1
        self.register_buffer("_radix", base ** torch.arange(inner), persistent=False)
        self.register_buffer("_keys", self._key(doubled), persistent=False)
        keys, order = self.get_buffer("_keys").sort()
        self.register_buffer("_keys", keys, persistent=False)
        self.register_buffer("_codes", order, persistent=False)
        faces = torch.eye(inner) if learned else torch.from_numpy(minimal_vectors(config.lattice, inner))
        self.register_buffer("_faces", faces.float(), persistent=False)
        with torch.no_grad():
            nn.init.orthogonal_(self.project.weight)
            self.unproject.weight.copy_(self.project.weight.T)
            self.project.bias.zero_()
            self.unproject.bias.zero_()

    def search(self, x: torch.Tensor) -> torch.Tensor:
        return self._find(self.project(x))[0]

    def match(self, x: torch.Tensor) -> Match:
        """As `search`; the gap is the distance to the nearest face of the cell.

        Faces of a D4 or E8 cell lie half way to the minimal vectors, which are all the neighbours of a root
        lattice's cell (Conway and Sloane 1998, chapter 21); a Babai cell is a parallelepiped.
        """
        y = self.project(x)
        codes, inside, offsets = self._find(y)
        if self.basis is None:
            faces = self._constant("_faces")
            gap = ((faces.square().sum(1) / 2 - offsets @ faces.T) / faces.norm(dim=1)).amin(1)
        else:
            slopes = torch.linalg.inv(self.basis).norm(dim=1)
            gap = ((0.5 - offsets.abs()) / slopes).amin(1)
        outside = ~inside
        if bool(outside.any()):
            searched = match(y[outside], self._bounded()).gap
            # With Babai's rounding, which is not always the nearest point, a code can also change because the
            # vector comes into the cell of another lattice point.
            gap[outside] = searched if self.basis is None else torch.minimum(searched, gap[outside])
        steepest = torch.linalg.matrix_norm(self.project.weight.double(), 2).to(x.dtype)
        return Match(codes, gap.clamp(min=0) / steepest)

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.unproject(self._bounded()[codes])

    def train_step(self, x: torch.Tensor, anchor: torch.Tensor, commitment: float) -> Trained:
        """In training, the decoder sees the projection with noise that is uniform in a lattice cell.

        Noise has the error's distribution where cells are small, and passes a gradient to the basis that
        rounding does not have. A vector outside the bounded set gives its point, whose gradient is that of
        the basis alone: more of the same direction would change nothing. What it loses pulls the projection
        inside.
        """
        y = self.project(x)
        with torch.no_grad():
            codes, inside, _ = self._find(y)
        chosen = self._bounded()[codes]
        if self.training:
            # 2 Z^n is part of every one of these lattices, so this is uniform modulo the lattice.
            spread = 2 * torch.rand_like(y)
            seen = torch.where(inside[:, None], y + self._turn(spread - self._round(spread)), chosen)
        else:
            seen = y + (chosen - y).detach()
        # Losses are measured in the space of x: the projection could make its own distances as small as it
        # likes.
        made = self.unproject(chosen)
        loss = commitment * (anchor - made.detach()).square().mean(1)
        loss = loss + self._config.codebook_weight * (anchor.detach() - made).square().mean(1)
        beyond = (self.project(anchor) - chosen.detach()) @ self.unproject.weight.detach().T
        loss = loss + beyond.square().mean(1) * ~inside
        if self.basis is not None:
            loss = loss + self._config.orthogonality * self.obliqueness()
        return Trained(self.unproject(seen), codes, loss)

    def obliqueness(self) -> torch.Tensor:
        """Mean squared cosine between two vectors of the learned basis: 0 when all are at right angles."""
        assert self.basis is not None
        columns = nn.functional.normalize(self.basis, dim=0)
        cosines = columns.T @ columns
        others = cosines - torch.diag_embed(cosines.diagonal())
        return others.square().sum() / max(1, len(cosines) * (len(cosines) - 1))

    @torch.no_grad()
    def start(self, x: torch.Tensor, generator: torch.Generator) -> None:
        """Looks along the principal axes of x, scaled for the least error, and decodes by least squares."""
        mean, axes, deviations = principal_axes(x, self._config.dimensions)
        sample = x[torch.randperm(len(x), generator=generator)[:20_000].to(x.device)]
        turned = (sample - mean) @ axes.T
        best, scales = float("inf"), 1 / deviations
        # From all axes alike, the best for fine cells, to all brought to the same deviation, for coarse ones.
        for evenness in (0.0, 0.5, 1.0):
            even = deviations**evenness * deviations[0] ** (1 - evenness)
            for candidate in (0.25 * 1.15**i for i in range(24)):
                made = self._bounded()[self._find(turned / even * candidate)[0]] * even / candidate
                error = float((turned - made).square().sum())
                if error < best:
                    best, scales = error, candidate / even
        self.project.weight.copy_(axes * scales[:, None])
        self.project.bias.copy_(-self.project.weight @ mean)
        weight, bias = best_decoding(self._bounded()[self.search(x)], x)
        self.unproject.weight.copy_(weight)
        self.unproject.bias.copy_(bias)

    def learn(self, x: torch.Tensor, codes: torch.Tensor, restart_below: float) -> None:
        """Nothing: the basis learns by gradient, and no point is placed by itself."""

    def _find(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Codes `[n]` of projected vectors `[n, inner]`; whether the lattice point was among them, `[n]`; and
        how far the vector is from it, in units of the basis, `[n, inner]`."""
        units = y if self.basis is None else torch.linalg.solve(self.basis, y.T).T
        point = self._round(units)
        # Far outside, keys would not be unique, or overflow.
        doubled = (2 * point).clamp(-self._most - 1, self._most + 1).long()
        bounded = (doubled.abs() <= self._most).all(1)
        keys = self._key(doubled.clamp(-self._most, self._most))
        place = torch.searchsorted(self._constant("_keys"), keys).clamp(max=self.size - 1)
        codes = self._constant("_codes")[place]
        inside = bounded & (self._constant("_keys")[place] == keys)
        outside = ~inside
        if bool(outside.any()):
            codes[outside] = nearest(y[outside], self._bounded())
        return codes, inside, units - point

    def _key(self, doubled: torch.Tensor) -> torch.Tensor:
        """A number for each vector of twice a point's coordinates `[n, inner]`, `[n]`."""
        return ((doubled + self._most) * self._constant("_radix")).sum(1)

    def _turn(self, points: torch.Tensor) -> torch.Tensor:
        return points if self.basis is None else points @ self.basis.T

    def _bounded(self) -> torch.Tensor:
        """All points of the bounded set `[size, inner]`."""
        return self._turn(self._constant("_points"))

    def _constant(self, name: str) -> torch.Tensor:
        return self.get_buffer(name)


def measured_bits(counts: torch.Tensor) -> torch.Tensor:
    """Bits per code that an ideal entropy coder needs for codes counted `[..., size]`, `[...]`.

    A lattice's codes are far from equally likely, so this is what to state as its rate, not `log2(size)`.
    """
    return perplexity(counts.double()).log2()
