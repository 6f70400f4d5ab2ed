"""Gradients of the quantizers, against their formulas in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, ResidualQuantizer, SimConfig
from codec.quantize.config import Gradient, LookupConfig
from codec.quantize.cosine import CosineStage
from codec.quantize.gradient import noise_substitution, rotation, straight_through
from codec.quantize.sim import SimStage
from codec.quantize.vq_vae import GradientStage


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


def learned(
    lookup: LookupConfig, *, gradient: Gradient = "straight_through", commitment: float = 0.25
) -> ResidualQuantizer:
    torch.manual_seed(0)
    config = ResidualConfig(
        n_codebooks=1, codebook_size=8, lookup=lookup, gradient=gradient, commitment=commitment, dropout=0
    )
    return ResidualQuantizer(config, 5).double().eval()


def test_the_vq_vae_codebook_has_the_gradients_of_equation_3() -> None:
    z, weight, beta = latents(), 0.7, 0.4
    model = learned(EuclideanConfig(learning="gradient", codebook_weight=weight), commitment=beta)
    (stage,) = model.stages
    assert isinstance(stage, GradientStage)
    out = model(z)
    pull, codes = torch.autograd.grad(out.loss, (z, stage.codebook), retain_graph=True)
    chosen = out.codes[:, 0].flatten()
    x = z.detach().transpose(1, 2).flatten(0, 1)
    left = (x - stage.codebook[chosen]).detach()
    # loss = mean over 8 vectors and 5 dimensions of w (sg z - e)^2 + beta (z - sg e)^2
    torch.testing.assert_close(pull.transpose(1, 2).flatten(0, 1), 2 * beta * left / 40)
    torch.testing.assert_close(
        codes, torch.zeros_like(stage.codebook).index_add_(0, chosen, -2 * weight * left / 40)
    )
    upstream = torch.randn(out.latents.shape, dtype=torch.float64)
    through, taught = torch.autograd.grad(
        (out.latents * upstream).sum(), (z, stage.codebook), allow_unused=True
    )
    torch.testing.assert_close(through, upstream)
    assert taught is None  # the decoder does not teach the codes


def test_simvq_teaches_its_matrix_by_the_loss_of_the_vq_vae() -> None:
    z, weight = latents(), 0.7
    model = learned(SimConfig(codebook_weight=weight))
    (stage,) = model.stages
    assert isinstance(stage, SimStage)
    out = model(z)
    (matrix,) = torch.autograd.grad(out.loss, stage.transform)
    fixed = stage.fixed[out.codes[:, 0].flatten()]
    x = z.detach().transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(matrix, -2 * weight / 40 * fixed.T @ (x - fixed @ stage.transform).detach())


@settings(derandomize=True, deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), dim=st.integers(2, 9))
def test_the_rotation_takes_latents_to_the_direction_of_their_codes(seed: int, dim: int) -> None:
    torch.manual_seed(seed)
    z = torch.randn(dim, dtype=torch.float64, requires_grad=True)
    q = torch.randn(dim, dtype=torch.float64)
    out = rotation(z[None], q[None])[0]
    torch.testing.assert_close(out, q)
    # The gradient is that of a matrix; divided by |q|/|z| it is a rotation that turns z to q, and nothing in
    # the plane across.
    matrix = torch.stack([torch.autograd.grad(out[i], z, retain_graph=True)[0] for i in range(dim)])
    turn = matrix * z.norm() / q.norm()
    torch.testing.assert_close(turn @ turn.T, torch.eye(dim, dtype=torch.float64))
    assert float(torch.linalg.det(turn).detach()) == pytest.approx(1)
    torch.testing.assert_close((matrix @ z).detach(), q)
    plane, _ = torch.linalg.qr(torch.stack([z.detach(), q], 1))
    across = torch.randn(dim, dtype=torch.float64)
    across -= plane @ (plane.T @ across)
    torch.testing.assert_close(turn @ across, across)


def test_the_rotation_is_that_of_the_reference_implementation() -> None:
    torch.manual_seed(0)
    z = torch.randn(6, 5, requires_grad=True)
    q, upstream = torch.randn(6, 5), torch.randn(6, 5)
    (ours,) = torch.autograd.grad((rotation(z, q) * upstream).sum(), z)
    (theirs,) = torch.autograd.grad((rotate_to(z, q) * upstream).sum(), z)
    torch.testing.assert_close(ours, theirs)


def test_the_rotation_of_zero_and_of_the_opposite_direction_is_finite() -> None:
    z = torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 1.0]], requires_grad=True)
    q = torch.tensor([[1.0, 0.0], [-2.0, -4.0], [0.0, 0.0]])
    out = rotation(z, q)
    torch.testing.assert_close(out, q)
    out.sum().backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_noise_substitution_has_the_size_of_the_error_and_teaches_latents_and_codes() -> None:
    """n = z + |z - q| u, so dn/dq = -u (z - q)' / |z - q| and dn/dz = I - dn/dq."""
    torch.manual_seed(0)
    z = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    q = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    out = noise_substitution(z, q)
    torch.testing.assert_close((out - z).norm(dim=1), (z - q).norm(dim=1))
    upstream = torch.randn(7, 4, dtype=torch.float64)
    to_z, to_q = torch.autograd.grad((out * upstream).sum(), (z, q))
    size = (z - q).detach().norm(dim=1, keepdim=True)
    u = (out - z).detach() / size
    expected = -(u * upstream).sum(1, keepdim=True) * (z - q).detach() / size
    torch.testing.assert_close(to_q, expected)
    torch.testing.assert_close(to_z, upstream - expected)
    assert not torch.equal(noise_substitution(z, q), out)


def test_with_nsvq_the_decoder_alone_teaches_all_codebooks() -> None:
    config = ResidualConfig(
        n_codebooks=3,
        codebook_size=16,
        lookup=EuclideanConfig(learning="gradient"),
        gradient="nsvq",
        commitment=0,
        dropout=0,
    )
    torch.manual_seed(0)
    model, z = ResidualQuantizer(config, 4), torch.randn(1, 4, 1000)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    errors = []
    for _ in range(150):
        model.train()
        out = model(z)
        assert float(out.loss.detach()) == 0  # no loss of its own
        optimizer.zero_grad()
        (out.latents - z).square().mean().backward()
        optimizer.step()
        model.eval()
        errors.append(float((model.decode(model.encode(z).codes) - z).detach().square().mean()))
    assert errors[-1] < 0.4 * errors[0]
    evaluated = model(z)
    torch.testing.assert_close(evaluated.latents, model.decode(evaluated.codes))  # no noise in evaluation
