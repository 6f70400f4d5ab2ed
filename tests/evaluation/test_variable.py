"""Which price makes which bitrate, found by encoding."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import torch

from codec.errors import ConfigError
from codec.evaluation.variable import prices_of
from codec.quantize.prepared import prepare
from codec.tokenfile import Tables, write
from codec.tokens import Tokens
from codec.training.entropy import EntropyConfig, exported, learn
from tests.networks import BANDS, SPECTRAL, small_network

HASH = "0123456789abcdef"


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Tables that know which codes are skipped at which price."""
    quantizer = small_network(BANDS).quantizer
    typical = float(quantizer.typical_norm().square())
    clips = [
        prepare(quantizer, share * typical).encode(latents(400, seed=9).T[None]).codes[0].T.numpy()
        for share in (3e-4, 3e-3, 3e-2, 0.1)
    ]
    config = EntropyConfig(width=8, hidden=16, inner=8, spans=(1, 2), steps=150, batch_frames=128)
    return exported(
        learn([clip.astype(np.uint16) for clip in clips], (64,) * 4, None, config, lambda step, bits: None),
        BANDS.name,
        HASH,
        {},
    )


def latents(frames: int, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    network = small_network(BANDS)
    spread = network.quantizer.typical_norm() / BANDS.latent_dim**0.5
    noise = torch.randn(frames, BANDS.latent_dim, generator=torch.Generator().manual_seed(seed))
    return noise * spread * scale


def test_less_is_paid_for_more(tables: Tables) -> None:
    prices = prices_of(small_network(BANDS), HASH, [latents(300), latents(200, seed=1)], tables)
    assert len(prices) > 3
    for low, high in pairwise(prices):
        assert low.kbps < high.kbps
        assert low.price > high.price
        assert low.codebooks <= high.codebooks <= 4


def test_the_bitrate_is_that_of_the_file(tables: Tables) -> None:
    network, rows = small_network(BANDS), latents(400)
    for known in prices_of(network, HASH, [rows], tables)[::3]:
        codes = prepare(network.quantizer, known.price).encode(rows.T[None]).codes[:, : known.codebooks]
        tokens = Tokens(
            codes=codes.numpy().astype(np.uint16),
            codebook_sizes=(64,) * known.codebooks,
            frame_rate=BANDS.frame_rate,
            sample_rate=8000,
            n_samples=400 * BANDS.hop_length,
            model=BANDS.name,
            weights_hash=HASH,
        )
        file = io.BytesIO()
        write(file, tokens, tables=tables)
        assert known.kbps == pytest.approx(8 * len(file.getvalue()) / tokens.duration / 1000)


def test_silence_around_speech_does_not_count(tables: Tables) -> None:
    network, silence = small_network(BANDS), latents(300, scale=1e-4)
    alone = prices_of(network, HASH, [latents(300)], tables)
    within = prices_of(network, HASH, [torch.cat([silence, latents(300), silence])], tables)
    assert [known.kbps for known in within] == pytest.approx([known.kbps for known in alone], rel=0.05)


def test_a_quantizer_that_cannot_skip_codes_has_no_prices(tables: Tables) -> None:
    with pytest.raises(ConfigError, match="skips"):
        prices_of(small_network(SPECTRAL), HASH, [latents(10)], tables)
