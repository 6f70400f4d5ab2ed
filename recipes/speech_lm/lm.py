"""A small causal transformer over codes in the delay pattern, as a LightningModule."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import nn
from torch.nn import functional as F

from codec.sequence import PAD, StepPattern
from codec.sequence.data import IGNORED
from codec.sequence.vocabulary import SPECIAL


class CodeLM(lightning.LightningModule):
    """Predicts the next step of ids `[batch, steps, codebooks]`, each codebook by a head of its own.

    dim, layers, heads: of the transformer. rate: of AdamW at its highest; it falls to 0 at `steps`.
    """

    def __init__(
        self,
        pattern: StepPattern,
        *,
        dim: int = 128,
        layers: int = 3,
        heads: int = 4,
        dropout: float = 0.1,
        rate: float = 3e-3,
        steps: int = 1000,
    ) -> None:
        super().__init__()
        self.pattern, self.rate, self.steps = pattern, rate, steps
        size = pattern.vocabulary.size
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for _ in range(pattern.codebooks))
        self.blocks = nn.ModuleList(_Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.heads = nn.ModuleList(nn.Linear(dim, size) for _ in range(pattern.codebooks))
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits `[batch, steps, codebooks, size]` of what follows ids `[batch, steps, codebooks]`."""
        x = sum((table(ids[..., k]) for k, table in enumerate(self.tables)), torch.zeros(()))
        angles = _angles(ids.shape[1], self.blocks[0].head_dim, x.device)
        for block in self.blocks:
            x = block(x, angles)
        x = self.norm(x)
        return torch.stack([head(x) for head in self.heads], dim=2)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Nats of every label `[batch, steps - 1, codebooks]`, 0 where there is none."""
        logits = self(batch["input_ids"][:, :-1])
        return F.cross_entropy(
            logits.flatten(0, 2), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
        ).view(logits.shape[:3])

    def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        loss = self.loss(batch).sum() / (batch["labels"][:, 1:] != IGNORED).sum()
        self.log("bits", loss.detach() / math.log(2), prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), self.rate, betas=(0.9, 0.95), weight_decay=0.1)

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / 50)
            return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.inference_mode()
    def sample(
        self, start: torch.Tensor, steps: int, *, temperature: float = 0.9, top: int = 100, seed: int = 0
    ) -> torch.Tensor:
        """Ids `[start + steps, codebooks]`: start `[n, codebooks]`, and what the model makes of it.

        Only codes are drawn, of the `top` likeliest, so that the result can always be decoded.
        """
        generator = torch.Generator().manual_seed(seed)
        ids = start
        limits = torch.tensor(self.pattern.vocabulary.codebook_sizes)
        delays = torch.tensor(self.pattern.delays)
        for _ in range(steps):
            logits = self(ids[None])[0, -1].float()
            places = torch.arange(logits.shape[1])
            logits[(places < SPECIAL) | (places >= SPECIAL + limits[:, None])] = -math.inf
            lowest = logits.topk(min(top, logits.shape[1]), dim=1).values[:, -1:]
            logits[logits < lowest] = -math.inf
            drawn = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]
            # The first step is BOS; a codebook is silent until its delay is over.
            drawn[len(ids) - 1 < delays] = PAD
            ids = torch.cat([ids, drawn[None]])
        return ids


class _Block(nn.Module):
    """Attention to the past and a layer for itself, each added to what comes in."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_dim, self.dropout = heads, dim // heads, dropout
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.wide = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        batch, steps, dim = x.shape
        parts = self.qkv(self.norms[0](x)).view(batch, steps, 3, self.heads, self.head_dim)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(_turned(q, angles), _turned(k, angles), v, is_causal=True)
        x = x + self.drop(self.out(found.transpose(1, 2).reshape(batch, steps, dim)))
        return x + self.drop(self.wide(self.norms[1](x)))


def _angles(steps: int, dim: int, device: torch.device) -> torch.Tensor:
    """Angles `[steps, dim / 2]` of rotary positions (RoFormer, Su et al. 2021, section 3.2.2)."""
    speeds = 10000.0 ** -(torch.arange(0, dim, 2, device=device) / dim)
    return torch.arange(steps, device=device)[:, None] * speeds


def _turned(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Pairs of x `[..., steps, dim]`, each turned by its angle."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
