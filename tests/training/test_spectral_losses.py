"""The mel and the complex loss and their gradients, against autograd through their formulas."""

from __future__ import annotations

import pytest
import torch

from codec.training.spectral_losses import TINY, SpectralLosses

WINDOWS, FLOOR, C = (512, 128), 1e-4, 0.4
LOSSES = SpectralLosses(WINDOWS, FLOOR, C, 16000)


def by_formula(name: str, decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    total = decoded.new_zeros(())
    for size in WINDOWS:
        window, mel = LOSSES.get_buffer(f"window_{size}"), LOSSES.get_buffer(f"mel_{size}")
        a, b = (
            torch.stft(x[:, 0], size, size // 4, window=window, return_complex=True)
            for x in (decoded, target)
        )
        m, n = (torch.sqrt(x.real**2 + x.imag**2 + TINY) for x in (a, b))
        if name == "mel":
            total = total + (torch.log(mel @ m + FLOOR) - torch.log(mel @ n + FLOOR)).abs().mean()
        else:
            difference = a * m ** (C - 1) - b * n ** (C - 1)
            total = total + (difference.real**2 + difference.imag**2).mean() + (m**C - n**C).square().mean()
    return total / len(WINDOWS)


@pytest.mark.parametrize("name", ["mel", "complex"])
@pytest.mark.parametrize("level", [1.0, 1e-5])
@pytest.mark.parametrize("samples", [4000, 4100])
def test_losses_and_gradients_are_those_of_the_formulas(name: str, level: float, samples: int) -> None:
    torch.manual_seed(0)
    target = 0.1 * torch.randn(2, 1, samples)
    decoded = (level * (target + 0.05 * torch.randn(2, 1, samples))).requires_grad_()
    made, wanted = LOSSES(decoded, level * target)[name], by_formula(name, decoded, level * target)
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-8)
    found, right = (torch.autograd.grad(loss, decoded)[0] for loss in (3 * made, 3 * wanted))
    assert (found - right).abs().max() < 1e-5 * right.abs().max()


def test_the_gradient_of_a_sum_of_losses_is_the_sum_of_gradients() -> None:
    torch.manual_seed(0)
    target = torch.randn(1, 1, 4000)
    decoded = torch.randn(1, 1, 4000, requires_grad=True)
    made = LOSSES(decoded, target)
    (both,) = torch.autograd.grad(made["mel"] + 2 * made["complex"], decoded, retain_graph=True)
    alone = [torch.autograd.grad(made[name], decoded, retain_graph=True)[0] for name in ("mel", "complex")]
    torch.testing.assert_close(both, alone[0] + 2 * alone[1])


def test_without_gradients_the_losses_are_the_same() -> None:
    torch.manual_seed(0)
    target, decoded = torch.randn(2, 1, 1, 4000)
    plain, learning = LOSSES(decoded, target), LOSSES(decoded.clone().requires_grad_(), target)
    assert {name: float(loss) for name, loss in plain.items()} == {
        n: float(v.detach()) for n, v in learning.items()
    }


def test_a_step_draws_windows_and_all_of_them_come(segments: torch.Tensor) -> None:
    """What a step of few windows says is, on average, what all of them say."""
    windows = (1024, 512, 256, 128)
    every = SpectralLosses(windows, 1e-4, 0.4, 16000)
    some = SpectralLosses(windows, 1e-4, 0.4, 16000, per_step=1)
    noisy = segments + 0.01 * torch.randn(segments.shape, generator=torch.Generator().manual_seed(0))
    whole = every(noisy, segments)
    alone = [SpectralLosses((size,), 1e-4, 0.4, 16000)(noisy, segments)["mel"].item() for size in windows]
    torch.manual_seed(0)
    drawn = {some(noisy, segments)["mel"].item() for _ in range(60)}
    assert sorted(drawn) == pytest.approx(sorted(alone))
    assert sum(alone) / len(alone) == pytest.approx(whole["mel"].item())
    some.eval()
    assert some(noisy, segments)["mel"].item() == pytest.approx(whole["mel"].item())
