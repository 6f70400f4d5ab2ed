"""Bitrates between those of whole codebooks, in files, streams and batches."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import shipped, tokenfile
from codec.codec import Codec
from codec.errors import ConfigError, ModelError, OutputError
from codec.models import CodecConfig, rates, store
from codec.models.network import CodecNetwork
from codec.models.rates import Rates
from codec.quantize import ResidualConfig
from codec.quantize.prices import range_of
from codec.quantize.rates import smaller_codebooks, usage_of
from codec.tokens import RATE_TOLERANCE, ladder, sizes_for
from codec.torch_engine import torch_codec
from codec.variable import Price
from tests.networks import CONFIGS, SPECTRAL, engine_of, small_network

RATE = 8000
HASH = "0" * 16
STEPS = (8, 16, 32)


def rates_of(network: CodecNetwork, weights_hash: str = HASH) -> Rates:
    torch.manual_seed(5)
    latents = network.encoder(0.3 * torch.randn(1, 1, 400 * network.config.hop_length))[0].detach()
    usage = usage_of(network.quantizer, latents)
    made = smaller_codebooks(network.quantizer, usage, STEPS)
    prices: tuple[Price, ...] = ()
    if (found := range_of(network.quantizer)) is not None:
        least, most = found
        # As many kbps as they might be: nobody has measured them.
        prices = (Price(1.0, most, 3), Price(2.0, (least * most) ** 0.5, 4), Price(4.0, least, 4))
    return Rates(weights_hash, [used.float().numpy() for used in usage], made, prices)


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: config.name)
def fine(request: pytest.FixtureRequest) -> Codec:
    """A small codec of 4 codebooks of 64 entries, 200 frames/s, with 4 sizes of each."""
    network = small_network(request.param)
    return torch_codec(network, HASH, rates_of(network))


def noise(seconds: float = 0.5, channels: int = 1) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal((channels, int(seconds * RATE)))


def test_a_codec_has_a_ladder_of_bitrates(fine: Codec) -> None:
    assert fine.kbps == pytest.approx([0.2 * (6 * k + bits) for k in range(4) for bits in (3, 4, 5, 6)])
    assert fine.info()["kbps"] == fine.kbps


@pytest.mark.parametrize(
    ("kbps", "sizes"), [(0.6, (8,)), (0.99, (16,)), (2.5, (64, 64)), (4.7, (64,) * 3 + (32,))]
)
def test_the_largest_bitrate_that_is_not_above_the_wish_is_made(
    fine: Codec, kbps: float, sizes: tuple[int, ...]
) -> None:
    tokens = fine.encode(noise(), RATE, kbps=kbps)
    assert tokens.codebook_sizes == sizes
    assert tokens.kbps <= kbps + RATE_TOLERANCE
    assert int(tokens.codes[0, -1].max()) < sizes[-1]


@given(
    st.lists(st.integers(8, 300), min_size=1, max_size=6),
    st.lists(st.sampled_from([2, 4, 7]), unique=True, max_size=3).map(sorted),
    st.floats(0, 9),
)
@settings(derandomize=True, deadline=None)
def test_no_other_step_is_closer_from_below(sizes: list[int], small: list[int], kbps: float) -> None:
    smaller = [small] * len(sizes)
    steps = [sum(np.log2(step)) * 0.1 for step in ladder(sizes, smaller)]
    assert steps == sorted(steps)
    if kbps < steps[0] or kbps > steps[-1]:
        with pytest.raises(ConfigError, match="not available"):
            sizes_for(kbps, None, Fraction(100), sizes, smaller)
    else:
        found = sizes_for(kbps, None, Fraction(100), sizes, smaller)
        assert sum(np.log2(found)) * 0.1 == pytest.approx(max(x for x in steps if x <= kbps + 1e-9))


def test_streams_and_batches_give_the_same_codes(fine: Codec) -> None:
    x = noise()
    tokens = fine.encode(x, RATE, kbps=3.1)
    assert tokens.codebook_sizes == (64, 64, 8)
    assert fine.encode_batch([x[0, :1000], x], RATE, kbps=3.1)[1] == tokens
    stream = fine.stream_encoder(kbps=3.1)
    parts = [stream.push(x[:, at : at + 333]) for at in range(0, x.shape[1], 333)]
    assert np.array_equal(np.concatenate([*parts, stream.flush()], axis=2), tokens.codes)
    decoder = fine.stream_decoder(n_samples=x.shape[1], codebook_sizes=tokens.codebook_sizes)
    heard = [decoder.push(tokens.codes[:, :, at : at + 7]) for at in range(0, tokens.frames, 7)]
    np.testing.assert_allclose(
        np.concatenate([*heard, decoder.flush()], axis=1), fine.decode(tokens), atol=1e-5
    )


def test_a_lower_bitrate_is_the_first_codebooks(fine: Codec) -> None:
    tokens = fine.encode(noise(), RATE, kbps=3.1)
    lower = tokens.at(kbps=2.9)
    assert np.array_equal(lower.codes, tokens.codes[:, :2])
    own = fine.encode(noise(), RATE, codebooks=2)
    assert lower.codebook_sizes == own.codebook_sizes == (64, 64)
    # A greedy search does not look ahead, so how much is to come changes nothing.
    quantizer = engine_of(fine).network.config.quantizer
    assert isinstance(quantizer, ResidualConfig)
    assert quantizer.beam > 1 or lower == own


def test_a_model_without_smaller_codebooks_refuses_such_tokens(fine: Codec) -> None:
    tokens = fine.encode(noise(), RATE, kbps=3.1)
    plain = torch_codec(engine_of(fine).network, HASH)
    with pytest.raises(ModelError, match="codebooks are not its own"):
        plain.decode(tokens)
    assert plain.decode(tokens.at(codebooks=2)).shape == (1, 4000)
    with pytest.raises(ModelError, match="codebooks are not its own"):
        fine.stream_decoder(codebook_sizes=(8, 64))


def test_codes_beyond_the_smaller_codebook_are_refused(fine: Codec) -> None:
    decoder = fine.stream_decoder(codebook_sizes=(64, 8))
    with pytest.raises(ConfigError, match="entries that the model's codebooks do not have"):
        decoder.push(np.full((1, 2, 3), 8, np.uint16))


def saved(tmp_path: Path, config: CodecConfig = SPECTRAL) -> tuple[Path, str]:
    weights = tmp_path / "small.safetensors"
    store.save(small_network(config), weights)
    return weights, store.load(weights)[1]


def test_the_file_beside_the_weights_is_found(tmp_path: Path) -> None:
    weights, weights_hash = saved(tmp_path)
    made = rates_of(store.load(weights)[0], weights_hash)
    rates.save(made, weights.with_suffix(rates.SUFFIX))
    codec = shipped.load(weights)
    assert len(codec.kbps) == 16
    tokens = codec.encode(noise(), RATE, kbps=3.1)
    file = io.BytesIO()
    tokenfile.write(file, tokens)
    file.seek(0)
    assert tokenfile.read(file) == tokens
    assert np.array_equal(
        codec.decode(tokens), torch_codec(store.load(weights)[0], weights_hash, made).decode(tokens)
    )


def test_a_file_for_other_weights_is_passed_over(tmp_path: Path) -> None:
    weights, _ = saved(tmp_path)
    rates.save(rates_of(small_network(), "f" * 16), weights.with_suffix(rates.SUFFIX))
    assert len(shipped.load(weights).kbps) == 4


@pytest.mark.parametrize("damage", ["cut", "no archive", "too large", "too few"])
def test_a_damaged_file_is_an_error(tmp_path: Path, damage: str) -> None:
    weights, weights_hash = saved(tmp_path)
    path = weights.with_suffix(rates.SUFFIX)
    made = rates_of(small_network(), weights_hash)
    if damage == "too large":
        made.assignments[0][8][3] = 8
    if damage == "too few":
        made = Rates(weights_hash, made.usage[:3], made.assignments[:3])
    rates.save(made, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    if damage == "no archive":
        path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"small\.rates\.npz"):
        shipped.load(weights)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        rates.save(Rates(HASH, [], []), tmp_path / "none" / "a.rates.npz")


def test_the_shipped_model_has_80_bitrates_and_each_is_better_than_the_one_before(
    model: Codec, speech: np.ndarray
) -> None:
    assert len(model.kbps) == 80
    assert (model.kbps[0], model.kbps[-1]) == pytest.approx((0.3, 8.0))
    audio = torch.from_numpy(speech[: 4 * 16000])[None, None]
    with torch.inference_mode():
        z = engine_of(model).network.encoder(audio)[0]
        errors = []
        for sizes in model._ladder:
            quantizer = engine_of(model).quantizer(sizes)
            decoded = quantizer.decode(quantizer.encode(z, len(sizes)).codes)
            errors.append(float((z - decoded).square().sum()))
    assert all(later < earlier for earlier, later in pairwise(errors))
