"""Learning the entropy coder's tables: its network in floats by gradient descent, then in whole numbers.

What the network computes in the end is in `codec/tokenfile/FORMAT.md`. Here the same steps run on floats,
with activations from -8 to 8; `exported` rounds the weights to the file's units, where these are -255 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from codec.tokenfile.entropy.tables import EXACT, LIMIT, Layer, Tables

# Logits of the file count 64ths of a bit.
_LOGIT_UNIT = math.log(2) / 64
_RANGE = 8.0
_RUN_FRAMES = 64
_MAX_SHIFT = 23


@dataclass(frozen=True)
class EntropyConfig:
    """Sizes of the network, and how long it learns.

    width: numbers that stand for a frame. hidden, inner: units of the two layers before the output.
    spans: frames of each window into the past, powers of two. page_frames: after how many frames a page may
    begin, which has no past. batch_frames: frames a step. learning_rate: of AdamW at its highest.
    """

    width: int = 48
    hidden: int = 128
    inner: int = 48
    spans: tuple[int, ...] = (1, 1, 2, 4, 16)
    page_frames: int = 256
    steps: int = 4000
    batch_frames: int = 512
    learning_rate: float = 2e-3
    seed: int = 0


class FloatNetwork(nn.Module):
    """The network of the entropy coder, to be trained; shapes as in `tokenfile.entropy.tables.Tables`.

    vectors: float [stages, codes, dimensions], what the codes mean (a quantizer's codebooks), to start the
    embedding from; None starts it at random.
    """

    def __init__(
        self, config: EntropyConfig, sizes: Sequence[int], counts: torch.Tensor, vectors: torch.Tensor | None
    ) -> None:
        super().__init__()
        self.config, self.sizes = config, tuple(sizes)
        stages, codes, width = len(sizes), max(sizes), config.width
        embedding = torch.randn(stages, codes, width) / 4 if vectors is None else _principal(vectors, width)
        self.embedding = nn.Parameter(embedding)
        inputs = (1 + len(config.spans)) * width
        self.hidden, self.hidden_bias = _layer(stages, inputs, config.hidden)
        self.inner, self.inner_bias = _layer(stages, config.hidden, config.inner)
        self.output, self.output_bias = _layer(stages, config.inner, codes)
        self.output.data *= 0.1
        shares = (counts + 0.5) / (counts + 0.5).sum(dim=1, keepdim=True)
        self.output_bias.data = shares.log()[:, None]
        forbidden = torch.arange(codes)[None] >= torch.tensor(self.sizes)[:, None]
        self.forbidden = forbidden[:, None] if bool(forbidden.any()) else None
        self.past = sum(config.spans)

    def inputs(self, codes: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """codes: [past + frames, stages], start: [past + frames], the first frame of each frame's page.

        Returns [stages, frames, inputs] for the frames after the first `past` ones.
        """
        stages = torch.arange(len(self.sizes))[:, None]
        most = _RANGE * 127 / LIMIT
        upper = self.embedding.clamp(-most, most)[stages, codes.T].cumsum(dim=0)
        lower = torch.cat([torch.zeros_like(upper[:1]), upper[:-1]])
        prefix = torch.cat([torch.zeros_like(upper[:, :1]), upper.cumsum(dim=1)], dim=1)
        now = torch.arange(self.past, len(codes))
        parts, border = [lower[:, self.past :]], 0
        for span in self.config.spans:
            ends = [torch.maximum(now - at, start[self.past :]) for at in (border, border + span)]
            parts.append((prefix[:, ends[0]] - prefix[:, ends[1]]) / span)
            border += span
        return torch.cat(parts, dim=2).clamp(-_RANGE, _RANGE)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """[stages, frames, codes] from inputs [stages, frames, inputs]."""
        hidden = torch.baddbmm(self.hidden_bias, inputs, self.hidden).clamp(0, _RANGE)
        inner = torch.baddbmm(self.inner_bias, hidden, self.inner).clamp(-_RANGE, _RANGE)
        logits = torch.baddbmm(self.output_bias, inner, self.output)
        return logits if self.forbidden is None else logits.masked_fill(self.forbidden, -1e9)


def learn(
    clips: Sequence[np.ndarray],
    sizes: Sequence[int],
    vectors: torch.Tensor | None,
    config: EntropyConfig,
    told: Callable[[int, float], None],
) -> FloatNetwork:
    """A network that has learned from clips, uint16 [frames, stages] each.

    told: called after every step with its number and the running mean of bits per code.
    """
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)
    codes = torch.from_numpy(np.concatenate(clips).astype(np.int64))
    starts = torch.from_numpy(_page_starts([len(clip) for clip in clips], config.page_frames))
    counts = torch.stack([torch.bincount(column, minlength=max(sizes)) for column in codes.T]).float()
    network = FloatNetwork(config, sizes, counts, vectors)
    past = network.past
    codes = torch.cat([codes[:1].expand(past, -1), codes])
    starts = torch.cat([torch.zeros(past, dtype=torch.long), starts + past])
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, (0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50) * (1 - step / config.steps)
    )
    runs = max(1, config.batch_frames // _RUN_FRAMES)
    heard = 0.0
    for step in range(config.steps):
        firsts = torch.randint(0, max(1, len(codes) - past - _RUN_FRAMES), (runs,), generator=generator)
        pieces = [slice(first, first + past + _RUN_FRAMES) for first in firsts.tolist()]
        inputs = [network.inputs(codes[piece], starts[piece] - piece.start) for piece in pieces]
        targets = torch.cat([codes[piece][past:] for piece in pieces]).T
        logits = network.logits(torch.cat(inputs, dim=1))
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        heard = loss.item() if step == 0 else 0.98 * heard + 0.02 * loss.item()
        told(step + 1, heard / math.log(2))
    return network


@torch.no_grad()
def exported(network: FloatNetwork, model: str, weights_hash: str, about: dict[str, str]) -> Tables:
    """The network in whole numbers. An activation of 8 becomes 255, a logit a count of 64ths of a bit."""
    embedding = (network.embedding * (LIMIT / _RANGE)).round().clamp(-127, 127).to(torch.int8)
    return Tables(
        model=model,
        weights_hash=weights_hash,
        codebook_sizes=network.sizes,
        spans=network.config.spans,
        embedding=embedding.numpy(),
        hidden=_rounded(network.hidden, network.hidden_bias, LIMIT / _RANGE),
        inner=_rounded(network.inner, network.inner_bias, LIMIT / _RANGE),
        output=_rounded(network.output, network.output_bias, 1 / _LOGIT_UNIT, one_shift=True),
        about=about,
    )


def _rounded(weight: torch.Tensor, bias: torch.Tensor, unit: float, one_shift: bool = False) -> Layer:
    """A layer whose inputs count 255ths of 8, and whose outputs count 1 / unit.

    Every output has the finest shift with which its weights fit into 8 bits, and its sums into 24.
    """
    exact = weight.double() * unit * _RANGE / LIMIT  # outputs in their unit for inputs in theirs
    offset = bias.double()[:, 0] * unit
    reach = (LIMIT * exact.abs().sum(dim=1) + offset.abs()).clamp_min(1e-9)
    largest = exact.abs().amax(dim=1).clamp_min(1e-9)
    shift = torch.minimum((127 / largest).log2(), (0.95 * EXACT / reach).log2()).floor()
    if one_shift:
        shift = shift.amin(dim=1, keepdim=True).expand_as(shift)
    shift = shift.clamp(0, _MAX_SHIFT)
    scale = torch.exp2(shift)
    whole = (exact * scale[:, None]).round().clamp(-127, 127)
    # Half a unit of the output is added, so that rounding down rounds to the nearest.
    whole_bias = ((offset + 0.5) * scale).round()
    return Layer(
        whole.to(torch.int8).numpy(), whole_bias.to(torch.int32).numpy(), shift.to(torch.uint8).numpy()
    )


def _layer(stages: int, inputs: int, outputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    weight = torch.randn(stages, inputs, outputs) / math.sqrt(inputs)
    return nn.Parameter(weight), nn.Parameter(torch.zeros(stages, 1, outputs))


def _principal(vectors: torch.Tensor, width: int) -> torch.Tensor:
    """The vectors in the `width` directions of largest power, of similar size; zeros if they have fewer."""
    flat = vectors.flatten(0, 1)
    directions = torch.linalg.eigh(flat.T @ flat)[1].flip(1)[:, :width]
    found = vectors @ directions
    power = found.square().mean(dim=1).sum(dim=0).clamp_min(1e-9)  # of a sum over the stages
    found = found / power.pow(0.25)
    found = found / power.pow(0.25).max()
    return functional.pad(found, (0, width - directions.shape[1]))


def _page_starts(lengths: Sequence[int], page_frames: int) -> np.ndarray:
    """For every frame of the clips, one after the other, where its page begins."""
    starts, at = [], 0
    for length in lengths:
        inside = np.arange(length)
        starts.append(at + inside - inside % page_frames)
        at += length
    return np.concatenate(starts)
