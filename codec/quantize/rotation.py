"""The rotation of optimized product quantization (OPQ, Ge et al. 2013)."""

from __future__ import annotations

import torch

from codec.quantize.kmeans import kmeans
from codec.quantize.lookup import nearest

# The rotation has dim^2 / 2 degrees of freedom: this many vectors and codes settle it.
_VECTORS = 20_000
_CODES = 256


@torch.no_grad()
def balanced_rotation(
    x: torch.Tensor, groups: int, codebook_size: int, generator: torch.Generator, iterations: int = 20
) -> torch.Tensor:
    """An orthogonal matrix R `[dim, dim]`, so that equal parts of `R x` are good to quantize separately.

    It starts from `eigenvalue_allocation` (section 3.2) and alternates, as in section 3.1, between a k-means
    step in every group, and the rotation nearest to the codes: `R = argmin |R X - Y|^2` with Y the quantized
    vectors is `V U^T`, with `X Y^T = U S V^T` (orthogonal Procrustes problem).

    Args:
        x: vectors `[n, dim]`.
        groups: parts of equal length.
        codebook_size: entries of a group's codebook.
        generator: source of randomness, on the CPU.
    """
    sample = x[torch.randperm(len(x), generator=generator)[:_VECTORS].to(x.device)]
    rotation = eigenvalue_allocation(sample, groups)
    turned = sample @ rotation.T
    size = min(codebook_size, _CODES, max(2, len(sample) // 4))
    centroids = [kmeans(part, size, iterations=4, generator=generator)[0] for part in turned.chunk(groups, 1)]
    best, best_error = rotation, float("inf")
    for _ in range(iterations):
        quantized = []
        for i, part in enumerate(turned.chunk(groups, 1)):
            codes = nearest(part, centroids[i])
            counts = torch.bincount(codes, minlength=size).to(x.dtype)[:, None]
            sums = torch.zeros_like(centroids[i]).index_add_(0, codes, part)
            centroids[i] = torch.where(counts > 0, sums / counts.clamp(min=1), centroids[i])
            quantized.append(centroids[i][codes])
        y = torch.cat(quantized, 1)
        error = float((turned - y).square().sum())
        if error < best_error:
            best, best_error = rotation, error
        u, _, vh = torch.linalg.svd(sample.double().T @ y.double())
        rotation = (u @ vh).T.to(x.dtype)
        turned = sample @ rotation.T
    return best


@torch.no_grad()
def eigenvalue_allocation(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Principal axes of x `[n, dim]`, dealt out so that all groups have eigenvalues of similar product.

    For Gaussian vectors this is optimal (Ge et al. 2013, section 3.2): each axis, the largest eigenvalue
    first, goes to the group with the smallest product so far that has room.

    Returns:
        Orthogonal matrix `[dim, dim]`, the axes of the first group first.
    """
    dim = x.shape[1]
    centred = (x - x.mean(0)).double()
    values, axes = torch.linalg.eigh(centred.T @ centred / len(x))
    # In units of the smallest, so that every factor raises its group's product.
    logs = (values.clamp(min=float(values.max()) * 1e-9 + 1e-30)).log()
    logs = (logs - logs.min()).tolist()
    members: list[list[int]] = [[] for _ in range(groups)]
    products = [0.0] * groups
    for axis in reversed(range(dim)):
        free = [g for g in range(groups) if len(members[g]) < dim // groups]
        group = min(free, key=lambda g: (products[g], g))
        members[group].append(axis)
        products[group] += logs[axis]
    return axes.T[[axis for group in members for axis in group]].to(x.dtype)
