"""Gradients of the quantizers, against their formulas in float64."""

from __future__ import annotations

import pytest
import torch

from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, ResidualQuantizer
from codec.quantize.cosine import CosineStage
from codec.quantize.gradient import straight_through


def quantizer(
    n_codebooks: int, *, cosine: bool = False, dim: int = 5, commitment: float = 0.25
) -> ResidualQuantizer:
    torch.manual_seed(0)
    lookup = CosineConfig(dim=3, codebook_weight=0.7) if cosine else EuclideanConfig()
    config = ResidualConfig(
        n_codebooks=n_codebooks, codebook_size=8, lookup=lookup, commitment=commitment, dropout=0
    )
    made = ResidualQuantizer(config, dim).double().eval()
    for stage in made.stages:
        if isinstance(stage, CosineStage):
            torch.nn.init.normal_(stage.project.weight)
            torch.nn.init.normal_(stage.unproject.weight, std=0.3)
    return made


def latents(dim: int = 5) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, dim, 4, dtype=torch.float64, requires_grad=True)


def test_straight_through_has_the_value_of_the_code_and_the_gradient_of_the_latent() -> None:
    z = torch.tensor([0.25, -3.0], requires_grad=True)
    q = torch.tensor([1.0, 2.0], requires_grad=True)
    out = straight_through(z, q)
    out.backward(torch.tensor([5.0, 7.0]))
    assert out.tolist() == [1.0, 2.0]
    assert z.grad is not None
    assert z.grad.tolist() == [5.0, 7.0]
    assert q.grad is None


@pytest.mark.parametrize("n_codebooks", [1, 2, 7])
def test_any_number_of_euclidean_stages_passes_the_gradient_once(n_codebooks: int) -> None:
    z = latents()
    out = quantizer(n_codebooks)(z)
    weight = torch.randn(out.latents.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((out.latents * weight).sum(), z)
    torch.testing.assert_close(gradient, weight, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_codebooks", [1, 3])
def test_commitment_pulls_latents_by_twice_the_residual_of_every_stage(n_codebooks: int) -> None:
    z, beta = latents(), 0.4
    model = quantizer(n_codebooks, commitment=beta)
    out = model(z)
    (gradient,) = torch.autograd.grad(out.loss, z)
    # loss = 1/stages sum_i beta mean_frames mean_dim (z - q_1 - ... - q_i)^2
    expected = torch.zeros_like(z)
    for i in range(1, n_codebooks + 1):
        expected += 2 * beta * (z.detach() - model.decode(out.codes[:, :i])) / 5
    expected /= n_codebooks * z.shape[0] * z.shape[2]
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-14)


def test_the_cosine_stage_has_the_gradients_of_its_formula() -> None:
    """q = W_out (p + sg(e - p)), loss = beta mean (p - sg e)^2 + w mean (sg p - e)^2, with p = W_in z."""
    z = latents()
    model = quantizer(1, cosine=True)
    (stage,) = model.stages
    assert isinstance(stage, CosineStage)
    out = model(z)
    weight = torch.randn(out.latents.shape, dtype=torch.float64)
    frames = z.shape[0] * z.shape[2]
    through, codes_through = torch.autograd.grad(
        (out.latents * weight).sum(), (z, stage.codebook), retain_graph=True, allow_unused=True
    )
    w_in, w_out = stage.project.weight, stage.unproject.weight
    torch.testing.assert_close(through, torch.einsum("oi,ib,nof->nbf", w_out, w_in, weight))
    assert codes_through is None  # codes learn from their own loss alone
    pull, codes = torch.autograd.grad(out.loss, (z, stage.codebook))
    p = stage.project(z.detach().transpose(1, 2)).flatten(0, 1)
    chosen = out.codes[:, 0].flatten()
    left = p - stage.codebook[chosen]
    expected = (2 * 0.25 / 3 / frames * left @ w_in).reshape(2, 4, 5).transpose(1, 2)
    torch.testing.assert_close(pull, expected)
    torch.testing.assert_close(
        codes, torch.zeros_like(stage.codebook).index_add_(0, chosen, -2 * 0.7 / 3 / frames * left)
    )
