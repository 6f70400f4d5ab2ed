"""What the entropy coder's tables are learned from: a corpus's codes, and the vectors that codes mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from codec.audio import read_audio
from codec.codec import Codec
from codec.errors import AudioError, CodecError, ConfigError
from codec.models.network import CodecNetwork
from codec.tokenfile import read

# How fast and how loud copies of a recording are played to the model: more voices than the corpus has.
_SPEEDS = (0.8, 1.25)
_GAINS_DB = (-12.0, 6.0)
# Of the recordings that are encoded without a price, where there are prices.
_PLAIN = 0.3


@dataclass(frozen=True)
class Clips:
    """The codes of one file: uint16 [frames, codebooks] a channel; or, in `error`, why there are none."""

    path: Path
    codes: tuple[np.ndarray, ...] = ()
    error: CodecError | None = None


def gather(
    model: Codec,
    files: Sequence[Path],
    *,
    varied: int,
    seed: int,
    prices: tuple[float, float] | None = None,
) -> Iterator[Clips]:
    """The codes of each file in turn, all codebooks.

    files: recordings, or token files that the same model made. varied: how many copies of each recording, at
    random speeds and levels, are encoded beside it. prices: of codes (`codec.variable`), the least and the
    highest, that most recordings are encoded at, for tables that serve all variable bitrates.
    """
    rng = np.random.default_rng(seed)
    for path in files:
        try:
            yield Clips(path, tuple(_codes(model, path, varied, prices, rng)))
        except CodecError as error:
            yield Clips(path, error=error)


def _codes(
    model: Codec, path: Path, varied: int, prices: tuple[float, float] | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    if path.suffix == ".cdc":
        tokens = read(path)
        model.check_tokens(tokens.model, tokens.weights_hash, tokens.codebook_sizes, tokens.frame_rate)
        if tokens.codebook_sizes != model.codebook_sizes:
            raise ConfigError(f"it holds {tokens.codebooks} codebooks, not all {len(model.codebook_sizes)}")
        yield from tokens.codes.transpose(0, 2, 1)
        return
    audio, rate = read_audio(path)
    if not audio.size:
        raise AudioError("it holds no sound")
    yield from model.encode_at(audio, rate, _drawn(prices, rng)).codes.transpose(0, 2, 1)
    for _ in range(varied):
        speed = np.exp(rng.uniform(*np.log(_SPEEDS)))
        gain = 10 ** (rng.uniform(*_GAINS_DB) / 20)
        # Rates in steps of 100 Hz, which resample quickly.
        played = max(100, round(rate * speed / 100) * 100)
        louder = np.clip(audio * np.float32(gain), -1, 1)
        yield from model.encode_at(louder, played, _drawn(prices, rng)).codes.transpose(0, 2, 1)


def _drawn(prices: tuple[float, float] | None, rng: np.random.Generator) -> float:
    if prices is None or rng.random() < _PLAIN:
        return 0.0
    return float(np.exp(rng.uniform(*np.log(prices))))


@torch.no_grad()
def vectors_of(network: CodecNetwork) -> torch.Tensor:
    """What each code adds to a latent, float [codebooks, largest size, dim], less its codebook's mean."""
    quantizer = network.quantizer
    sizes = quantizer.codebook_sizes
    rows = []
    for k, size in enumerate(sizes):
        codes = torch.zeros(1, len(sizes), size, dtype=torch.long, device=network.device)
        codes[0, k] = torch.arange(size)
        latents = quantizer.decode(codes)[0].float().cpu()  # [dim, size * stride]
        rows.append(latents.unflatten(1, (size, -1)).permute(1, 0, 2).flatten(1))
        rows[-1] = rows[-1] - rows[-1].mean(dim=0)
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
