"""Typed configuration of quantizers: each is named by its parts.

A *structure* (residual, grouped, time_hierarchy, neural, top_k) is made of codebooks, and each of them has a
*lookup* (how a code is found, and how codes learn), a *gradient* (how the decoder's gradient passes it) and
an *upkeep* (what happens to codes that nobody uses).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Union

from codec.errors import ConfigError

Gradient = Literal["straight_through", "rotation", "nsvq"]
Learning = Literal["average", "gradient", "frozen"]
# Of the number of codebooks that items train with (`quantize.dropout`).
DropoutLaw = Literal["uniform", "octaves"]
Upkeep = Literal["none", "restart", "split", "cluster", "cluster_sampled"]


@dataclass(frozen=True)
class EuclideanConfig:
    """Nearest code by Euclidean distance between latents.

    decay: of the moving averages that each code follows, per training step (EnCodec and SoundStream: 0.99);
        for "gradient", of the average of its usage.
    learning: "average" of the latents that chose the code, "gradient" of |sg(z) - e|^2 (VQ-VAE, equation 3),
        or "frozen" as k-means, fitted to its end, left them.
    codebook_weight: weight of that loss, for "gradient".
    """

    kind: Literal["euclidean"] = "euclidean"
    decay: float = 0.99
    learning: Learning = "average"
    codebook_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ConfigError(f"decay must be from 0 to below 1, not {self.decay}.")
        _check_weight(self.codebook_weight)


@dataclass(frozen=True)
class CosineConfig:
    """Nearest code by angle in a low-dimensional projection; codes learn by gradient (DAC, section 3.2).

    dim: dimensions of the projection.
    codebook_weight: weight of the loss that pulls codes to latents.
    """

    kind: Literal["cosine"] = "cosine"
    dim: int = 8
    codebook_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"dim of a cosine lookup must be positive, not {self.dim}.")
        _check_weight(self.codebook_weight)


@dataclass(frozen=True)
class SimConfig:
    """Codes are a fixed random codebook times a learned matrix (SimVQ, Zhu et al. 2024): all move together.

    codebook_weight: weight of the loss that pulls codes to latents.
    """

    kind: Literal["sim"] = "sim"
    codebook_weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(self.codebook_weight)


@dataclass(frozen=True)
class GumbelConfig:
    """A sample of softmax(-|z - e|^2 / 2 s^2) in training, the nearest code otherwise (Jang et al. 2017).

    temperatures: of the softmax at the first step and after anneal_steps, falling exponentially between.
    anneal_steps: training steps from the first to the last temperature.
    """

    kind: Literal["gumbel"] = "gumbel"
    temperatures: tuple[float, ...] = (2.0, 0.5)
    anneal_steps: int = 10_000

    def __post_init__(self) -> None:
        if len(self.temperatures) != 2 or min(self.temperatures) <= 0 or self.anneal_steps < 0:
            raise ConfigError(
                "temperatures must be two positive numbers, and anneal_steps cannot be negative."
            )


@dataclass(frozen=True)
class StochasticConfig:
    """SQ-VAE (Takida et al. 2022): codes are drawn with a learned variance, which falls by itself.

    temperature: of the Gumbel-softmax that the draw is made with.
    """

    kind: Literal["stochastic"] = "stochastic"
    temperature: float = 0.5

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"temperature must be positive, not {self.temperature}.")


@dataclass(frozen=True)
class ScalarConfig:
    """Finite scalar quantization (Mentzer et al. 2023): a projection, bounded and rounded in each dimension.

    levels: values L of each dimension; the codebook has their product of entries.
    symmetric: round floor(L / 2) tanh(x) instead, which makes each dimension 2 floor(L / 2) + 1 values.
    """

    kind: Literal["scalar"] = "scalar"
    levels: tuple[int, ...] = (8, 5, 5, 5)
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 2 or math.prod(self.values) > 65536:
            raise ConfigError("levels must be two or more in each dimension, and at most 65536 in all.")

    @property
    def values(self) -> tuple[int, ...]:
        """How many values each dimension really has."""
        return tuple(level // 2 * 2 + 1 if self.symmetric else level for level in self.levels)


@dataclass(frozen=True)
class LatticeConfig:
    """The nearest point of a lattice in a low-dimensional projection, inside a bounded set of points.

    lattice: "d4" and "e8" are fixed (4 and 8 dimensions; Conway and Sloane 1982); "learned" rounds in a
        learned near-orthogonal basis (Babai; OLVQ, Zhang et al. 2024).
    dim: dimensions of the learned lattice, at most 24.
    orthogonality: weight of the loss that keeps the vectors of the learned basis at right angles.
    codebook_weight: weight of the loss that pulls what points stand for to latents.
    """

    kind: Literal["lattice"] = "lattice"
    lattice: Literal["learned", "d4", "e8"] = "learned"
    dim: int = 4
    orthogonality: float = 0.1
    codebook_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.dim <= 24:
            raise ConfigError(f"A learned lattice has 1 to 24 dimensions, not {self.dim}.")

    @property
    def dimensions(self) -> int:
        """Of the lattice."""
        return {"learned": self.dim, "d4": 4, "e8": 8}[self.lattice]


LookupConfig = Union[  # noqa: UP007 (jsonargparse)
    EuclideanConfig,
    CosineConfig,
    SimConfig,
    GumbelConfig,
    StochasticConfig,
    ScalarConfig,
    LatticeConfig,
]


@dataclass(frozen=True)
class ResidualConfig:
    """Residual vector quantization: each codebook quantizes what the ones before it left over.

    n_codebooks: number of stages; 1 is plain vector quantization.
    codebook_size: entries of each codebook, 2 to 65536; a scalar lookup has its own.
    lookup: how a stage finds its code, and how its codes learn.
    commitment: weight of the loss that pulls latents to their codes.
    dropout: probability that an item of a training batch uses a random number of codebooks instead of all.
    dropout_law: all numbers are drawn alike ("uniform"), or all halvings of the bitrate ("octaves").
    restart_below: a code used less than this share of uniform usage counts as dead; 0 for never.
    gradient: what the decoder's gradient does at the codebook: passes ("straight_through"), turns with the
        rotation from latent to code ("rotation", Fifty et al. 2024), or passes through noise of the error's
        size ("nsvq", Vali and Backstrom 2022, who use no commitment either). Gumbel and stochastic lookups
        have a gradient of their own, and take the first.
    upkeep: dead codes "restart" at random latents, take half of the most used code ("split"), or all codes
        drift to latents the faster the less they are used (CVQ-VAE, Zheng and Vedaldi 2023): to the closest
        one ("cluster") or to one drawn by distance ("cluster_sampled"). "restart" does nothing where codes
        are fixed or move together (frozen, sim, scalar, lattice), and the others are errors there.
    entropy_bonus: weight of the entropy (in nats) of the batch's mean soft assignment, taken from the loss.
    beam: paths kept while encoding; more than 1 finds better codes, slower.
    skips: probability that an item of a training batch leaves out codes that gain less than a price drawn
        for it (`quantize.prices`), so that the bitrate can vary. Above 0, entry 0 of every codebook is zero.
    """

    kind: Literal["residual"] = "residual"
    n_codebooks: int = 16
    codebook_size: int = 1024
    lookup: LookupConfig = field(default_factory=EuclideanConfig)
    commitment: float = 0.25
    dropout: float = 0.5
    dropout_law: DropoutLaw = "uniform"
    restart_below: float = 0.1
    gradient: Gradient = "straight_through"
    upkeep: Upkeep = "restart"
    entropy_bonus: float = 0.0
    beam: int = 1
    skips: float = 0.0

    def __post_init__(self) -> None:
        _check_codebooks(self.n_codebooks, self.codebook_size)
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"dropout is a probability between 0 and 1, not {self.dropout}.")
        if not 0 <= self.skips <= 1:
            raise ConfigError(f"skips is a probability between 0 and 1, not {self.skips}.")
        if not 1 <= self.beam <= 256:
            raise ConfigError(f"beam must be between 1 and 256 paths, not {self.beam}.")
        if min(self.commitment, self.restart_below, self.entropy_bonus) < 0:
            raise ConfigError("commitment, restart_below and entropy_bonus cannot be negative.")
        self._check_parts()

    def _check_parts(self) -> None:
        """Raises ConfigError for parts that make no sense together."""
        lookup = self.lookup
        name = f"{lookup.learning} euclidean" if isinstance(lookup, EuclideanConfig) else lookup.kind
        own = isinstance(lookup, GumbelConfig | StochasticConfig | ScalarConfig | LatticeConfig)
        if own and self.gradient != "straight_through":
            raise ConfigError(
                f"A {name} lookup has a gradient of its own and cannot use {self.gradient!r}: leave "
                "gradient at 'straight_through'."
            )
        if self.gradient == "nsvq" and name not in ("gradient euclidean", "sim"):
            raise ConfigError(
                f"The gradient 'nsvq' teaches the codes themselves, which a {name} lookup cannot use: take "
                "euclidean with learning 'gradient', or sim."
            )
        still = name == "frozen euclidean" or isinstance(lookup, SimConfig | ScalarConfig | LatticeConfig)
        if still and self.upkeep not in ("none", "restart"):
            raise ConfigError(
                f"Single codes of a {name} lookup cannot move, so the upkeep {self.upkeep!r} cannot help: "
                "take 'none'."
            )
        if self.skips > 0 and name != "average euclidean":
            raise ConfigError(
                f"Codes that can be skipped need an entry of zero, which a {name} lookup does not keep: take "
                "euclidean with learning 'average', or set skips to 0."
            )
        if self.entropy_bonus > 0 and isinstance(lookup, ScalarConfig | LatticeConfig):
            raise ConfigError(f"entropy_bonus needs a codebook, and a {name} lookup has none: set it to 0.")

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of every codebook."""
        return (_size(self.lookup, self.codebook_size),) * self.n_codebooks

    @property
    def stride(self) -> int:
        """Latent frames per frame of codes."""
        return 1


@dataclass(frozen=True)
class GroupedConfig:
    """Product quantization: the latent is turned, cut into groups, and each is quantized by itself.

    groups: parts of the latent; latent_dim must be a multiple of it.
    rotate: turn by an orthogonal matrix that balances the groups (OPQ, Ge et al. 2013) at the start.
    each: the residual quantizer of every group. Codes of stage 0 of all groups come first, then stage 1, ...
    """

    kind: Literal["grouped"] = "grouped"
    groups: int = 4
    rotate: bool = True
    each: ResidualConfig = field(default_factory=lambda: ResidualConfig(n_codebooks=4))

    def __post_init__(self) -> None:
        _check_codebooks(self.groups * self.each.n_codebooks, self.each.codebook_size)
        _check_no_skips(self.kind, self.each)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of every codebook."""
        return self.each.codebook_sizes * self.groups

    @property
    def stride(self) -> int:
        """Latent frames per frame of codes."""
        return 1


@dataclass(frozen=True)
class TimeHierarchyConfig:
    """Codes at several time scales, slow ones first, each quantizing what the slower ones left over.

    VQ-VAE-2 (Razavi et al. 2019) in the form of SNAC (Siuzdak et al. 2024). One frame of codes spans the
    longest stride; it holds 1 code of the slowest level, then those of the next in order of time, and so on.

    strides: latent frames per code of each level, falling, each a multiple of the next.
    stages: the codebook of each level (n_codebooks of them at every point in time of a level).
    """

    kind: Literal["time_hierarchy"] = "time_hierarchy"
    strides: tuple[int, ...] = (4, 2, 1)
    stages: ResidualConfig = field(default_factory=lambda: ResidualConfig(n_codebooks=1, dropout=0.0))

    def __post_init__(self) -> None:
        pairs = zip(self.strides, self.strides[1:], strict=False)
        if not self.strides or self.strides[-1] < 1 or any(a <= b or a % b for a, b in pairs):
            raise ConfigError(f"strides must fall, each a multiple of the next, unlike {self.strides}.")
        _check_codebooks(len(self.codebook_sizes), self.stages.codebook_size)
        _check_no_skips(self.kind, self.stages)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of every codebook."""
        return self.stages.codebook_sizes * sum(self.stride // stride for stride in self.strides)

    @property
    def stride(self) -> int:
        """Latent frames per frame of codes."""
        return self.strides[0]


@dataclass(frozen=True)
class NeuralConfig:
    """QINCo (Huijben et al. 2024): a small network makes each codebook from the reconstruction so far.

    n_codebooks, codebook_size, commitment, dropout, restart_below: as in ResidualConfig.
    hidden: width of the residual blocks. blocks: their number in each stage.
    candidates: codes that a cheap search selects for the network to judge; 0 judges all.
    beam: paths kept while encoding.
    """

    kind: Literal["neural"] = "neural"
    n_codebooks: int = 8
    codebook_size: int = 1024
    commitment: float = 0.25
    dropout: float = 0.0
    restart_below: float = 0.1
    hidden: int = 256
    blocks: int = 1
    candidates: int = 32
    beam: int = 1

    def __post_init__(self) -> None:
        _check_codebooks(self.n_codebooks, self.codebook_size)
        if min(self.hidden, self.blocks, self.beam) < 1 or self.candidates < 0:
            raise ConfigError("hidden, blocks and beam must be positive, and candidates not negative.")
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"dropout is a probability between 0 and 1, not {self.dropout}.")

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of every codebook."""
        return (self.codebook_size,) * self.n_codebooks

    @property
    def stride(self) -> int:
        """Latent frames per frame of codes."""
        return 1


@dataclass(frozen=True)
class TopKConfig:
    """Codebook features (Tamkin et al. 2023): the sum of the k codes that are most alike to the latent.

    Which k of them is one number below C(codebook_size, k), written in digits below 1024, lowest first; so
    only all digits together decode.

    codebook_size: entries of the codebook. k: codes that are summed.
    similarity: "cosine" between latent and code (section 3.1), or "euclidean", nearness to 1 / k of the
        latent.
    commitment: weight of the loss that pulls latents to their sum.
    codebook_weight: weight of the loss that pulls the sum to latents.
    restart_below: as in ResidualConfig.
    """

    kind: Literal["top_k"] = "top_k"
    codebook_size: int = 1024
    k: int = 8
    similarity: Literal["cosine", "euclidean"] = "cosine"
    commitment: float = 0.25
    codebook_weight: float = 1.0
    restart_below: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.k < self.codebook_size <= 65536:
            raise ConfigError("k must be at least 1 and below codebook_size, which is at most 65536.")
        _check_codebooks(len(self.codebook_sizes), 1024)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Values of every digit."""
        sizes, left = [], math.comb(self.codebook_size, self.k)
        while left > 1:
            sizes.append(max(2, min(1024, left)))
            left = -(-left // 1024)
        return tuple(sizes)

    @property
    def stride(self) -> int:
        """Latent frames per frame of codes."""
        return 1


@dataclass(frozen=True)
class SplitConfig:
    """Two residual quantizers of the same latent, each in its own projection, whose results add up (Mimi).

    Mimi's first codebook learns meaning from a speech model, and does not have to serve the sound as well
    (Defossez et al. 2024, section 3.3.2).

    dim: dimensions of both projections.
    semantic, acoustic: the two quantizers; the semantic codes come first.
    """

    kind: Literal["split"] = "split"
    dim: int = 256
    semantic: ResidualConfig = field(
        default_factory=lambda: ResidualConfig(n_codebooks=1, codebook_size=2048)
    )
    acoustic: ResidualConfig = field(
        default_factory=lambda: ResidualConfig(n_codebooks=31, codebook_size=2048)
    )

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"dim of a split quantizer must be positive, not {self.dim}.")
        _check_codebooks(len(self.codebook_sizes), self.semantic.codebook_size)
        _check_no_skips(self.kind, self.semantic, self.acoustic)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of every codebook."""
        return self.semantic.codebook_sizes + self.acoustic.codebook_sizes

    @property
    def stride(self) -> int:
        """Latent frames per frame of codes."""
        return 1


QuantizerConfig = Union[  # noqa: UP007 (jsonargparse)
    ResidualConfig, GroupedConfig, TimeHierarchyConfig, NeuralConfig, TopKConfig, SplitConfig
]


def _size(lookup: LookupConfig, codebook_size: int) -> int:
    return math.prod(lookup.values) if isinstance(lookup, ScalarConfig) else codebook_size


def _check_weight(weight: float) -> None:
    if weight < 0:
        raise ConfigError(f"codebook_weight cannot be negative, unlike {weight}.")


def _check_no_skips(kind: str, *parts: ResidualConfig) -> None:
    if any(part.skips > 0 for part in parts):
        raise ConfigError(f"A {kind} quantizer cannot skip codes: set skips to 0.")


def _check_codebooks(number: int, size: int) -> None:
    if not 1 <= number <= 64:
        raise ConfigError(f"n_codebooks must be between 1 and 64, not {number}.")
    if not 2 <= size <= 65536:
        raise ConfigError(f"codebook_size must be between 2 and 65536, not {size}.")
