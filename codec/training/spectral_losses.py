"""The mel and the complex loss, with gradients in closed form: a third of the time that autograd takes."""

from __future__ import annotations

from typing import Any

import librosa
import torch
from torch import nn
from torch.nn import functional as F

# Added to powers, so that magnitudes of nothing have gradients.
TINY = 1e-10


class SpectralLosses(nn.Module):
    """The mel and the complex loss from one set of short-time Fourier transforms.

    Args:
        windows: analysis windows in samples, each with a hop of a quarter.
        floor: magnitude that counts as silence in the mel loss, relative to full scale.
        compression: exponent c on magnitudes in the complex loss.
        sample_rate: Hz.
        names: which of "mel" and "complex" are wanted.
        per_step: how many of the windows a call draws at random, in training; 0 for all.
    """

    def __init__(
        self,
        windows: tuple[int, ...],
        floor: float,
        compression: float,
        sample_rate: int,
        names: tuple[str, ...] = ("mel", "complex"),
        per_step: int = 0,
    ) -> None:
        super().__init__()
        self.per_step = per_step
        self.windows, self.floor, self.compression, self.names = windows, floor, compression, names
        for size in windows:
            window = torch.hann_window(size)
            # Unit energy: a sample of noise of level s gives magnitudes of about s, whatever the window.
            self.register_buffer(f"window_{size}", window / window.square().sum().sqrt(), persistent=False)
            mel = torch.from_numpy(librosa.filters.mel(sr=sample_rate, n_fft=size, n_mels=_bands(size)))
            mel = mel / mel.sum(1, keepdim=True).clamp(min=1e-8)
            self.register_buffer(f"mel_{size}", mel, persistent=False)

    def forward(self, decoded: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each loss as a scalar, averaged over the resolutions; signals are float32 `[batch, 1, samples]`.

        mel: mean absolute difference of `log(mel magnitude + floor)`.
        complex: mean squared difference of `|S|^c e^(i arg S)` and of `|S|^c` (Braun and Tashev 2021, eq. 4).
        """
        sums = {name: decoded.new_zeros(()) for name in self.names}
        windows = self._drawn()
        for size in windows:
            a, b = (F.pad(x, (size // 2, size // 2), mode="reflect")[:, 0] for x in (decoded, target))
            window, mel = getattr(self, f"window_{size}"), getattr(self, f"mel_{size}")
            made = _Losses.apply(a, b, window, mel, self.floor, self.compression, self.names)
            for name, loss in zip(self.names, made, strict=True):
                sums[name] = sums[name] + loss
        return {name: total / len(windows) for name, total in sums.items()}

    def _drawn(self) -> list[int]:
        """The windows of this call."""
        if not (self.training and self.per_step):
            return list(self.windows)
        return [self.windows[i] for i in torch.randperm(len(self.windows))[: self.per_step].tolist()]


class _Losses(torch.autograd.Function):
    """The losses of one resolution, of padded signals `[batch, samples]`; only the first has a gradient.

    The gradients by the spectra are made on the way forward, where what they are made of is at hand; the way
    back is one transform for each loss.
    """

    @staticmethod
    def forward(
        ctx: Any,
        decoded: torch.Tensor,
        target: torch.Tensor,
        window: torch.Tensor,
        mel: torch.Tensor,
        floor: float,
        c: float,
        names: tuple[str, ...],
    ) -> tuple[torch.Tensor, ...]:
        wanted = ctx.needs_input_grad[0]
        a, b = _Spectrum(decoded, window), _Spectrum(target, window)
        losses, gradients = [], []
        for name in names:
            loss, gradient = _mel(a, b, mel, floor, wanted) if name == "mel" else _complex(a, b, c, wanted)
            losses.append(loss)
            gradients.append(gradient)
        ctx.samples = decoded.shape[-1]
        ctx.save_for_backward(window, *[gradient for gradient in gradients if gradient is not None])
        return tuple(losses)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        window, *gradients = ctx.saved_tensors
        total = sum(scale * gradient for scale, gradient in zip(outer, gradients, strict=True) if scale != 0)
        if isinstance(total, int):
            return (None,) * 7
        return _signal_gradient(total, window, ctx.samples), *(None,) * 6


class _Spectrum:
    """Short-time spectra of signals `[batch, samples]`, frame by frame: `[batch, frames, bins]`.

    Real and imaginary parts lie apart, which arithmetic on them is faster for.
    """

    def __init__(self, x: torch.Tensor, window: torch.Tensor) -> None:
        size = len(window)
        spectrum = torch.fft.rfft(x.unfold(-1, size, size // 4) * window)
        self.real, self.imag = spectrum.real.contiguous(), spectrum.imag.contiguous()
        self.power = (self.real * self.real).addcmul_(self.imag, self.imag).add_(TINY)
        self.magnitude = self.power.sqrt()


def _mel(
    a: _Spectrum, b: _Spectrum, mel: torch.Tensor, floor: float, wanted: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The mel loss and its gradient by the spectrum of a."""
    bands = (a.magnitude @ mel.T).add_(floor)
    difference = torch.log(bands) - torch.log((b.magnitude @ mel.T).add_(floor))
    loss = difference.abs().mean()
    if not wanted:
        return loss, None
    outer = (difference.sign_().div_(bands).div_(bands.numel()) @ mel).div_(a.magnitude)
    return loss, torch.complex(a.real * outer, a.imag * outer)


def _complex(a: _Spectrum, b: _Spectrum, c: float, wanted: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The complex loss and its gradient by the spectrum of a."""
    # |S|^(c - 1), by which a spectrum is multiplied.
    f, g = (torch.log(x.power).mul_((c - 1) / 2).exp_() for x in (a, b))
    real = (f * a.real).sub_(g * b.real)
    imag = (f * a.imag).sub_(g * b.imag)
    size = (f * a.magnitude).sub_(g * b.magnitude)
    loss = sum(x.flatten().dot(x.flatten()) for x in (real, imag, size)) / f.numel()
    if not wanted:
        return loss, None
    along = (real * a.real).addcmul_(imag, a.imag).div_(a.magnitude).mul_(c - 1).add_(size, alpha=c)
    along.div_(a.magnitude)
    f.mul_(2 / f.numel())
    real.addcmul_(along, a.real).mul_(f)
    imag.addcmul_(along, a.imag).mul_(f)
    return loss, torch.complex(real, imag)


def _signal_gradient(gradient: torch.Tensor, window: torch.Tensor, samples: int) -> torch.Tensor:
    """From the gradient by spectra `[batch, frames, bins]` that by the signal `[batch, samples]`."""
    size = len(window)
    # The adjoint of the transform: the inverse one, which counts the inner bins twice and divides by size.
    gradient[..., 1:-1] *= 0.5
    frames = torch.fft.irfft(gradient, size, norm="forward").mul_(window)
    hop, count = size // 4, frames.shape[1]
    total = frames.new_zeros(len(frames), count + 3, hop)
    for part in range(4):
        total[:, part : part + count] += frames[..., part * hop : (part + 1) * hop]
    return F.pad(total.flatten(1), (0, samples - (count + 3) * hop))


def _bands(window: int) -> int:
    """Mel bands for a window: as many as it can resolve, at most 128."""
    return min(128, window // 8)
