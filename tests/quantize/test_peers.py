"""The same codes and vectors as vector-quantize-pytorch, for equal codebooks."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from vector_quantize_pytorch import ResidualVQ, SimVQ, VectorQuantize

from codec.quantize import CosineConfig, EuclideanConfig, ResidualConfig, ResidualQuantizer, SimConfig
from codec.quantize.cosine import CosineStage
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.sim import SimStage
from codec.quantize.vq_vae import GradientStage


def latents() -> torch.Tensor:
    return torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0))


def test_euclidean_codes_are_equal() -> None:
    torch.manual_seed(0)
    theirs, x = VectorQuantize(dim=8, codebook_size=32).eval(), latents()
    ours = EuclideanStage(EuclideanConfig(), 32, 8)
    ours.codebook.copy_(torch.randn(32, 8))
    theirs.codebook = ours.codebook
    vectors, codes, _ = theirs(x)
    assert torch.equal(ours.search(x.flatten(0, 1)).view(2, 50), codes)
    torch.testing.assert_close(ours.vectors(codes), vectors)


def test_cosine_codes_are_equal() -> None:
    torch.manual_seed(0)
    theirs, x = VectorQuantize(dim=8, codebook_size=32, use_cosine_sim=True).eval(), latents()
    ours = CosineStage(CosineConfig(dim=8), 32, 8)
    with torch.no_grad():
        ours.project.weight.copy_(torch.eye(8))
    theirs.codebook = F.normalize(ours.codebook.detach())
    assert torch.equal(ours.search(x.flatten(0, 1)).view(2, 50), theirs(x)[1])


def test_residual_codes_and_vectors_are_equal() -> None:
    torch.manual_seed(0)
    theirs, x = ResidualVQ(dim=8, codebook_size=32, num_quantizers=4).eval(), latents()
    ours = ResidualQuantizer(ResidualConfig(n_codebooks=4, codebook_size=32), 8).eval()
    for stage, layer in zip(ours.stages, theirs.layers, strict=True):
        stage.codebook.copy_(torch.randn(32, 8) / 2)  # type: ignore[operator]
        layer.codebook = stage.codebook
    vectors, codes, _ = theirs(x)
    out = ours(x.transpose(1, 2))
    assert torch.equal(out.codes.transpose(1, 2), codes)
    torch.testing.assert_close(out.latents.transpose(1, 2), vectors)
    torch.testing.assert_close(
        ours.decode(codes.transpose(1, 2)).transpose(1, 2), theirs.get_output_from_indices(codes)
    )


def test_simvq_codes_vectors_and_loss_are_equal() -> None:
    torch.manual_seed(0)
    theirs, x = SimVQ(dim=8, codebook_size=32, rotation_trick=False), latents()
    ours = SimStage(SimConfig(), 32, 8)
    with torch.no_grad():
        ours.fixed.copy_(theirs.frozen_codebook)
        ours.transform.copy_(theirs.code_transform.weight.T)
    flat = x.flatten(0, 1)
    vectors, codes, loss = theirs(x)
    out = ours.train_step(flat, flat, 0.25)
    assert torch.equal(out.codes.view(2, 50), codes)
    torch.testing.assert_close(out.vectors.view(2, 50, 8), vectors)
    torch.testing.assert_close(out.loss.mean(), loss)


def test_the_vq_vae_loss_is_equal() -> None:
    torch.manual_seed(0)
    theirs = VectorQuantize(
        dim=8,
        codebook_size=32,
        learnable_codebook=True,
        ema_update=False,
        commitment_weight=0.25,
        commitment_use_cross_entropy_loss=False,
    )
    ours, x = GradientStage(EuclideanConfig(learning="gradient", codebook_weight=0), 32, 8), latents()
    with torch.no_grad():
        theirs.codebook = ours.codebook.detach()
    _, codes, _ = theirs.eval()(x)
    flat = x.flatten(0, 1)
    out = ours.train_step(flat, flat, 0.25)
    assert torch.equal(out.codes.view(2, 50), codes)
    theirs.train()
    torch.testing.assert_close(out.loss.mean(), theirs(x)[2].sum())
