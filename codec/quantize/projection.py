"""Where to place a projection into few dimensions, and the one back out of them."""

from __future__ import annotations

import torch


def principal_axes(x: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean `[dim]`, the axes of most variance `[count, dim]` (orthonormal), and the deviations along them.

    Where x has fewer dimensions than wanted, axes are repeated. Deviations are never 0.
    """
    mean = x.mean(0)
    centred = (x - mean).double()
    variances, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    pick = torch.arange(count, device=x.device) % x.shape[1]
    floor = float(variances[-1]) * 1e-12 + 1e-24
    deviations = variances.flip(0)[pick].clamp(min=floor).sqrt()
    return mean, vectors.flip(1).T[pick].to(x.dtype), deviations.to(x.dtype)


def best_decoding(values: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight `[dim, inner]` and bias `[dim]` that bring values `[n, inner]` nearest to x `[n, dim]`."""
    v, target = values.double(), x.double()
    v_mean, x_mean = v.mean(0), target.mean(0)
    v, target = v - v_mean, target - x_mean
    gram = v.T @ v
    # Values that never change say nothing; a pseudo-inverse leaves them out.
    weight = (torch.linalg.pinv(gram, hermitian=True) @ (v.T @ target)).T
    return weight.to(x.dtype), (x_mean - weight @ v_mean).to(x.dtype)
