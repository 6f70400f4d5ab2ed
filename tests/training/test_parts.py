"""Losses, their balance, averaged weights and the start, each against its formula."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from codec.evaluation.metrics import si_sdr
from codec.models import CodecConfig, SpectralConfig
from codec.models.network import CodecNetwork
from codec.quantize import ResidualConfig
from codec.training.balancer import Balancer
from codec.training.ema import averaged_copy, update_average
from codec.training.losses import (
    SpectralLossConfig,
    SpectralLosses,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from codec.training.start import start_from_data

LOSSES = SpectralLosses(SpectralLossConfig(windows=(512, 128)), 16000)


def segments(speech: np.ndarray, samples: int = 8000) -> torch.Tensor:
    count = len(speech) // samples
    return torch.from_numpy(speech[: count * samples].reshape(count, 1, samples))


def test_identical_signals_have_no_loss(speech: np.ndarray) -> None:
    x = segments(speech)
    assert [float(loss) for loss in LOSSES(x, x)] == [0, 0]


def test_losses_grow_with_the_noise(speech: np.ndarray) -> None:
    torch.manual_seed(0)
    x = segments(speech)
    noise = torch.randn_like(x)
    made = torch.tensor(
        [[float(loss) for loss in LOSSES(x + level * noise, x)] for level in (1e-4, 1e-3, 1e-2, 0.1)]
    )
    assert (made.diff(dim=0) > 0).all()


def test_losses_of_silence_have_finite_gradients() -> None:
    silent = torch.zeros(1, 1, 4000, requires_grad=True)
    sum(LOSSES(silent, torch.zeros(1, 1, 4000))).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_the_mel_loss_of_a_gain_is_its_logarithm() -> None:
    """Far above the floor, log(a m) - log(m) = log a in every band."""
    torch.manual_seed(0)
    x = torch.randn(1, 1, 16000)
    mel, _ = LOSSES(1.5 * x, x)
    assert float(mel) == pytest.approx(np.log(1.5), rel=0.01)


def test_hinge_losses_are_their_formulas() -> None:
    real, fake = [torch.tensor([2.0, 0.5])], [torch.tensor([-2.0, 0.5])]
    assert float(discriminator_loss(real, fake)) == pytest.approx((0 + 0.5) / 2 + (0 + 1.5) / 2)
    assert float(adversarial_loss(fake)) == pytest.approx((3 + 0.5) / 2)


def test_feature_matching_is_relative_to_the_real_features() -> None:
    torch.manual_seed(0)
    real = [[torch.randn(2, 3), torch.randn(4)], [torch.randn(5)]]
    fake = [[f + 0.1 * torch.randn_like(f) for f in scale] for scale in real]
    terms = [
        float((f - r).abs().mean() / r.abs().mean())
        for r, f in zip(sum(real, []), sum(fake, []), strict=True)  # noqa: RUF017
    ]
    assert float(feature_loss(real, fake)) == pytest.approx(np.mean(terms), rel=1e-5)
    louder = [[[7 * f for f in scale] for scale in features] for features in (real, fake)]
    assert float(feature_loss(*louder)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(feature_loss(real, real)) == 0


def test_the_balancer_gives_every_loss_its_share() -> None:
    """sum_i w_i / W g_i / <|g_i|>, with <|g|> the average norm per item, by hand over two steps."""
    torch.manual_seed(0)
    weights, decay = {"a": 3.0, "b": 1.0}, 0.9
    balancer = Balancer(weights, decay)
    seen: dict[str, list[float]] = {"a": [], "b": []}
    for step in range(2):
        audio = torch.randn(4, 1, 10, requires_grad=True)
        losses = {"a": 1000 * (step + 1) * audio.square().mean(), "b": 0.001 * audio.abs().sum()}
        expected = torch.zeros_like(audio)
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, audio, retain_graph=True)
            seen[name].append(float(gradient.flatten(1).norm(dim=1).mean()))
            share = np.array([decay ** (step - i) for i in range(step + 1)])
            norm = float((share * seen[name]).sum() / share.sum())
            expected += weights[name] / 4 * gradient / norm / len(audio)
        balanced, norms = balancer.combine(losses, audio)
        balanced.backward()
        torch.testing.assert_close(audio.grad, expected)
        assert set(norms) == {"a", "b"}


def test_shares_do_not_depend_on_the_losses_scales() -> None:
    torch.manual_seed(0)
    x, gradients = torch.randn(2, 1, 50), []
    for scale in (1, 1e4):
        audio = x.clone().requires_grad_()
        balanced, _ = Balancer({"a": 1.0, "b": 1.0}).combine(
            {"a": scale * audio.square().sum(), "b": audio.sin().sum()}, audio
        )
        balanced.backward()
        gradients.append(audio.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_running_average_is_its_formula() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    network.register_buffer("seen", torch.zeros(1))
    average = averaged_copy(network)
    expected = network.weight.detach().clone()
    for step in (0, 5, 10_000):
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3))
        network.seen.add_(1)  # type: ignore[operator]
        decay = min(0.99, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
        update_average(average, network, 0.99, step)
        torch.testing.assert_close(average.weight, expected)
        assert torch.equal(average.seen, network.seen)  # type: ignore[arg-type]
    assert not average.weight.requires_grad


def small(latent_dim: int) -> CodecConfig:
    return CodecConfig(
        hop_length=80,
        latent_dim=latent_dim,
        network=SpectralConfig(width=80, encoder_blocks=1, decoder_blocks=1),
        quantizer=ResidualConfig(n_codebooks=6, codebook_size=64),
    )


def without_quantizer(network: CodecNetwork, x: torch.Tensor) -> np.ndarray:
    """One segment, encoded and decoded without quantization, aligned."""
    hop = network.config.hop_length
    with torch.no_grad():
        padded = torch.nn.functional.pad(x, (0, hop))
        return network.decoder(network.encoder(padded)[0])[0][0, 0, hop:].numpy()


def test_the_closed_form_is_nearly_perfect_with_all_components(speech: np.ndarray) -> None:
    network, audio = CodecNetwork(small(80)).eval(), segments(speech)
    start_from_data(network, audio)
    assert si_sdr(audio[3, 0].numpy(), without_quantizer(network, audio[3:4])) > 30


def test_the_start_reconstructs_and_random_weights_do_not(speech: np.ndarray) -> None:
    torch.manual_seed(0)
    network, audio = CodecNetwork(small(24)).eval(), segments(speech)
    random = copy.deepcopy(network)
    random.quantizer.start(torch.randn(2000, 24), torch.Generator().manual_seed(0))
    start_from_data(network, audio)
    target = audio[3:4]
    after, before = (
        si_sdr(target[0, 0].numpy(), n.reconstruct(target, 6)[0, 0].numpy()) for n in (network, random)
    )
    assert after > 3
    assert after > before + 3
    fewer = si_sdr(target[0, 0].numpy(), network.reconstruct(target, 1)[0, 0].numpy())
    assert fewer < after


def test_the_loss_falls_when_one_clip_is_learned(speech: np.ndarray) -> None:
    torch.manual_seed(0)
    network, audio = CodecNetwork(small(24)).train(), segments(speech)
    start_from_data(network, audio)
    clip = audio[2:6]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, betas=(0.8, 0.99))
    mels = []
    for _ in range(40):
        made = network(clip)
        mel, complex_ = LOSSES(made.audio, clip)
        balanced, _ = Balancer({"mel": 1.0, "complex": 1.0}).combine(
            {"mel": mel, "complex": complex_}, made.audio
        )
        optimizer.zero_grad()
        (balanced + made.loss).backward()
        optimizer.step()
        mels.append(float(mel.detach()))
    assert np.mean(mels[-5:]) < 0.9 * np.mean(mels[:5])
