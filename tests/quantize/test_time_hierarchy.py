"""Codes at several time scales: slow levels say what lasts, and every prefix of a frame's codes decodes."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import ConfigError
from codec.quantize import ResidualConfig, TimeHierarchyConfig
from codec.quantize.time_hierarchy import TimeHierarchyQuantizer
from codec.quantize.usage import perplexity


def latents(frames: int, seed: int = 1) -> torch.Tensor:
    """Latents that move slowly, `[1, 6, frames]`."""
    torch.manual_seed(seed)
    noise = torch.randn(1, 6, frames + 15)
    return noise.unfold(2, 16, 1).mean(3) * 4 + 0.3 * torch.randn(1, 6, frames)


def made(
    strides: tuple[int, ...] = (4, 2, 1), stages: int = 1, dropout: float = 0.0
) -> TimeHierarchyQuantizer:
    torch.manual_seed(0)
    each = ResidualConfig(n_codebooks=stages, codebook_size=16, dropout=dropout)
    quantizer = TimeHierarchyQuantizer(TimeHierarchyConfig(strides=strides, stages=each), 6).eval()
    quantizer.start(latents(4800), torch.Generator().manual_seed(0))
    return quantizer


@pytest.mark.parametrize(
    ("strides", "stages", "codes"), [((4, 2, 1), 1, 7), ((8, 4, 2, 1), 1, 15), ((6, 2), 2, 8), ((1,), 3, 3)]
)
def test_a_frame_of_codes_spans_the_longest_stride(strides: tuple[int, ...], stages: int, codes: int) -> None:
    quantizer = made(strides, stages)
    assert len(quantizer.codebook_sizes) == codes
    assert quantizer.stride == strides[0]
    z = latents(10 * strides[0])
    encoded = quantizer.encode(z)
    assert encoded.codes.shape == (1, codes, 10)
    assert encoded.gap.shape == (1, 10)
    assert quantizer.decode(encoded.codes).shape == z.shape


@torch.no_grad()
def test_each_level_quantizes_the_mean_of_what_the_slower_ones_left_over() -> None:
    quantizer, z = made(stages=2), latents(40)
    codes = quantizer.encode(z).codes[0]
    left, first = z[0].T, 0
    for level, stride in zip(quantizer._levels(), (4, 2, 1), strict=True):
        points = 4 // stride
        means = left.reshape(40 // stride, stride, 6).mean(1)
        expected = level.encode(means.T[None]).codes[0]
        for stage in range(2):
            for point in range(points):  # of a level: all points in time of a codebook, then of the next
                assert torch.equal(codes[first], expected[stage, point::points])
                first += 1
        left = left - level.decode(expected[None])[0].T.repeat_interleave(stride, 0)
    torch.testing.assert_close(quantizer.decode(codes[None])[0].T, z[0].T - left)


@torch.no_grad()
@pytest.mark.parametrize("stages", [1, 2])
def test_every_prefix_decodes_and_every_code_helps(stages: int) -> None:
    quantizer, z = made(stages=stages), latents(2000)
    codes = quantizer.encode(z).codes
    errors = []
    for n in range(1, 7 * stages + 1):
        assert torch.equal(quantizer.encode(z, n).codes, codes[:, :n])
        errors.append(float((z - quantizer.decode(codes[:, :n])).square().mean()))
    assert errors[0] < float(z.square().mean())
    assert all(later < earlier for earlier, later in pairwise(errors))


@torch.no_grad()
def test_the_coarse_level_is_used() -> None:
    quantizer, z = made(), latents(4000)
    codes = quantizer.encode(z).codes[0]
    assert float(perplexity(torch.bincount(codes[0], minlength=16).float())) > 8
    assert all(len(row.unique()) == 16 for row in codes)
    # It holds more of slow latents than any one of the faster codes adds.
    errors = [float((z - quantizer.decode(codes[None, :n])).square().mean()) for n in range(1, 8)]
    gains = [a - b for a, b in pairwise([float(z.square().mean()), *errors])]
    assert gains[0] == max(gains)


@torch.no_grad()
def test_frames_of_codes_do_not_depend_on_each_other() -> None:
    quantizer, z = made().double(), latents(80).double()
    whole = quantizer.encode(z).codes
    parts = torch.cat([quantizer.encode(part).codes for part in z.split(8, dim=2)], 2)
    assert torch.equal(whole, parts)
    decoded = torch.cat([quantizer.decode(part) for part in whole.split(3, dim=2)], 2)
    torch.testing.assert_close(decoded, quantizer.decode(whole))


@torch.no_grad()
@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 7))
def test_no_move_within_the_gap_changes_any_code(seed: int, n: int) -> None:
    quantizer, z = started(), latents(40, seed).double()
    codes, gap = quantizer.encode(z, n)
    step = torch.nn.functional.normalize(torch.randn_like(z), dim=1)
    # Each latent of a frame of codes may move as far as the gap.
    step = step * gap.repeat_interleave(4, dim=1)[:, None] * (1 - 1e-6)
    assert torch.equal(quantizer.encode(z + step, n).codes, codes)


@cache
def started() -> TimeHierarchyQuantizer:
    return made().double()


def test_training_and_encoding_choose_the_same_codes() -> None:
    quantizer, z = made().double(), latents(80).double().requires_grad_()
    out = quantizer(z)
    assert torch.equal(out.codes, quantizer.encode(z).codes)
    torch.testing.assert_close(out.latents, quantizer.decode(out.codes))
    assert out.counts.shape == (7, 16)
    assert out.counts.sum(1).tolist() == [20, 40, 40, 80, 80, 80, 80]
    out.latents.sum().backward()
    # Straight through all levels: the gradient reaches every latent once.
    torch.testing.assert_close(z.grad, torch.ones_like(z))


def test_every_level_learns_and_commits_latents() -> None:
    quantizer = made().train()
    before = [level._stages()[0].all_vectors().clone() for level in quantizer._levels()]
    z = latents(80, 5).requires_grad_()
    out = quantizer(z)
    out.loss.backward()
    assert z.grad is not None
    assert (z.grad != 0).all()
    for level, old in zip(quantizer._levels(), before, strict=True):
        assert not torch.equal(level._stages()[0].all_vectors(), old)


def test_dropout_drops_the_fastest_levels() -> None:
    quantizer = made(dropout=1.0).train()
    quantizer._draw = lambda batch, device: torch.tensor([1, 2, 3])  # type: ignore[method-assign]
    z = latents(24).reshape(6, 3, 8).transpose(0, 1).contiguous()
    learned = {name: x.clone() for name, x in quantizer.state_dict().items()}
    out = quantizer(z)
    quantizer.load_state_dict(learned)
    for item, n in enumerate((1, 3, 7)):
        expected = quantizer.decode(out.codes[item : item + 1, :n])
        torch.testing.assert_close(out.latents[item : item + 1], expected, atol=1e-5, rtol=1e-5)
    drawn = made(dropout=1.0).train()._draw(3000, torch.device("cpu"))
    assert torch.bincount(drawn, minlength=4).min() == 0
    assert torch.bincount(drawn, minlength=4)[1:].min() > 800


@pytest.mark.parametrize("strides", [(), (2, 4), (4, 3, 1), (4, 4), (2, 0)])
def test_strides_must_fall_and_divide(strides: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="strides"):
        TimeHierarchyConfig(strides=strides)
