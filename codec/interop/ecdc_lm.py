"""EnCodec's language model, which its `.ecdc` files can be coded with (Défossez et al. 2022, section 3.3).

A transformer sees the sum of the embeddings of a frame's codes and gives the probabilities of the next
frame's. Both sides must compute the same bits, or decoding runs astray: this does the operations of the
`encodec` package in their order, in float32 and on one thread, but another processor or version of PyTorch
may still round differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from codec.errors import CheckpointError
from codec.interop.checkpoints import read_checkpoint
from codec.interop.ecdc import CODEBOOK_SIZE, EcdcModel
from codec.tokens import Codes

_DIM, _HEADS, _LAYERS, _HIDDEN = 200, 8, 5, 800
_CONTEXT_SECONDS = 3.5
_MAX_PERIOD = 10000


class LmState(NamedTuple):
    """layers: what each layer saw, `[1, steps, 200]`. steps: frames so far."""

    layers: tuple[torch.Tensor, ...]
    steps: int


class _Layer(nn.Module):
    """Attention to what this layer saw before, and a perceptron, each normalised afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(_DIM, _HEADS, batch_first=True)
        self.linear1 = nn.Linear(_DIM, _HIDDEN)
        self.linear2 = nn.Linear(_HIDDEN, _DIM)
        self.norm1 = nn.LayerNorm(_DIM)
        self.norm2 = nn.LayerNorm(_DIM)

    def forward(self, x: torch.Tensor, past: torch.Tensor, context: int) -> torch.Tensor:
        """`[1, 1, 200]` after the `past [1, steps, 200]`, of which it sees `context` steps."""
        seen = torch.cat([past, x], dim=1)
        age = torch.arange(seen.shape[1] - 1, -1, -1)[None]
        attended = self.self_attn(x, seen, seen, attn_mask=age > context, need_weights=False)[0]
        x = self.norm1(x + attended)
        return self.norm2(x + self.linear2(nn.functional.gelu(self.linear1(x))))


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(_DIM)
        self.layers = nn.ModuleList(_Layer() for _ in range(_LAYERS))


class _Network(nn.Module):
    """With the parameter names of the `encodec` package."""

    def __init__(self, codebooks: int) -> None:
        super().__init__()
        self.transformer = _Transformer()
        self.emb = nn.ModuleList(nn.Embedding(CODEBOOK_SIZE + 1, _DIM) for _ in range(codebooks))
        self.linears = nn.ModuleList(nn.Linear(_DIM, CODEBOOK_SIZE) for _ in range(codebooks))


class EcdcLanguageModel:
    """`interop.ecdc.LanguageModel` of one of EnCodec's models.

    Args:
        model: whose codes it is about.
        weights: tensors by their names in the `encodec` package.

    Raises:
        CheckpointError: weights of something else.
    """

    def __init__(self, model: EcdcModel, weights: Mapping[str, torch.Tensor]) -> None:
        self._context = int(_CONTEXT_SECONDS * model.sample_rate / model.hop_length)
        self._network = _Network(model.codebooks).eval()
        wanted = self._network.state_dict()
        for name, part in wanted.items():
            if name not in weights or weights[name].shape != part.shape:
                raise CheckpointError(f"This is not the language model of {model.name}: it lacks its {name}.")
        if unknown := sorted(weights.keys() - wanted.keys()):
            raise CheckpointError(f"This is not the language model of {model.name}: it has {unknown[0]}.")
        self._network.load_state_dict(dict(weights))

    @torch.no_grad()
    def step(self, codes: Codes | None, codebooks: int, state: LmState | None) -> tuple[np.ndarray, LmState]:
        """Probabilities float32 `[codebooks, 1024]` of the frame after codes uint16 `[codebooks]`."""
        with _one_thread():
            network = self._network
            # 0 stands for "no code yet".
            indices = np.zeros(codebooks, np.int64) if codes is None else codes.astype(np.int64) + 1
            parts = torch.from_numpy(indices).view(codebooks, 1, 1)
            x = sum((network.emb[k](parts[k]) for k in range(1, codebooks)), start=network.emb[0](parts[0]))
            steps = 0 if state is None else state.steps
            x = network.transformer.norm_in(x) + _position(steps)
            # Before the first frame there is one vector of zeros, which is attended to as any other.
            pasts = (torch.zeros(1, 1, _DIM),) * _LAYERS if state is None else state.layers
            after = []
            for layer, past in zip(network.transformer.layers, pasts, strict=True):
                after.append(torch.cat([past, x], dim=1)[:, -self._context :])
                x = layer(x, past, self._context)
            logits = torch.stack([network.linears[k](x) for k in range(codebooks)], dim=1)
            # The axis of the softmax is not the last one there, and the order of its sum follows from that.
            probabilities = torch.softmax(logits.permute(0, 3, 1, 2), dim=1)
            return probabilities[0, :, :, 0].T.numpy(), LmState(tuple(after), steps + 1)


def load(path: str | Path, model: EcdcModel) -> EcdcLanguageModel:
    """The language model in a file of the `encodec` package (`encodec_lm_24khz-….th`); runs no code from it.

    Raises:
        CheckpointError: no such file, a damaged one, or one with other content.
    """
    try:
        return EcdcLanguageModel(model, read_checkpoint(Path(path)).tensors)
    except CheckpointError as error:
        named = str(error).startswith(str(path)) or str(path) in str(error)
        raise error if named else CheckpointError(f"{path}: {error}") from None


def _position(step: int) -> torch.Tensor:
    """Cosines and sines `[1, 1, 200]` of a step, of periods from 2 pi to 10000 times that."""
    half = _DIM // 2
    rates = _MAX_PERIOD ** (torch.arange(half).view(1, 1, -1) / (half - 1))
    phase = torch.tensor([[[step]]]) / rates
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The order of sums depends on the number of threads."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
