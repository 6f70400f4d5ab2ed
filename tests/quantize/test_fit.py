"""Training a quantizer on latents that stay as they are."""

from __future__ import annotations

import torch

from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, build_quantizer
from codec.quantize.base import Quantizer
from codec.quantize.config import LookupConfig
from codec.quantize.fit import coding_error, fit


def latents(n: int, seed: int, dim: int = 16) -> torch.Tensor:
    scale = torch.linspace(1, 0.5, dim)[:, None]
    return (scale * torch.randn(dim, n, generator=torch.Generator().manual_seed(seed)))[None]


def started(lookup: LookupConfig, n: int = 2) -> Quantizer:
    torch.manual_seed(0)
    config = ResidualConfig(n_codebooks=n, codebook_size=32, lookup=lookup, dropout=0.0)
    made = build_quantizer(config, 16)
    made.start(latents(4000, 1), torch.Generator().manual_seed(0))
    return made.eval()


def test_the_coding_error_is_the_squared_error_of_encoding_as_a_share_of_the_power() -> None:
    made, z = started(EuclideanConfig()), latents(1500, 2)
    decoded = made.decode(made.encode(z).codes)
    torch.testing.assert_close(
        coding_error(made, z), float((z - decoded).square().sum() / z.square().sum()), rtol=1e-5, atol=0
    )


def test_with_latents_held_out_the_best_state_of_the_training_stays() -> None:
    """A rate far too high destroys the codebooks; the start was better."""
    made, unseen = started(EuclideanConfig(learning="gradient")), latents(1500, 2)
    before = coding_error(made, unseen)
    fit(made, latents(4000, 1), steps=20, batch_frames=64, rate=1.0)
    assert coding_error(made, unseen) > 1.5 * before
    again = started(EuclideanConfig(learning="gradient"))
    fit(again, latents(4000, 1), steps=20, batch_frames=64, rate=1.0, held_out=unseen)
    assert coding_error(again, unseen) <= before


def test_codebooks_learn_at_a_rate_of_their_own() -> None:
    still = started(CosineConfig(dim=4), 1)
    codebook, project = (
        still.state_dict()[f"stages.0.{name}"].clone() for name in ("codebook", "project.weight")
    )
    fit(still, latents(400, 1), steps=2, batch_frames=64, rate=1e-2, codebook_rate=0.0)
    now = still.state_dict()
    assert torch.equal(now["stages.0.codebook"], codebook)
    assert not torch.equal(now["stages.0.project.weight"], project)


def test_codes_by_angle_start_with_most_of_what_euclidean_ones_find_in_as_many_dimensions() -> None:
    """Each stage sees 4 of 16 dimensions, and 4 stages all of them."""
    unseen = latents(1500, 2)
    made = started(CosineConfig(dim=4), 4)
    assert coding_error(made, unseen) < 0.5
    codes = made.encode(unseen).codes[0]
    assert all(len(row.unique()) > 28 for row in codes)
