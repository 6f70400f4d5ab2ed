"""k-means on latents: the start of a codebook."""

from __future__ import annotations

import math

import torch

from codec.quantize.lookup import nearest


def kmeans(
    x: torch.Tensor, k: int, *, iterations: int = 10, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lloyd's algorithm (1982) from a greedy k-means++ start (Arthur and Vassilvitskii 2007, section 6).

    An empty cluster takes half of the fullest one. With fewer vectors than clusters, the vectors are repeated
    with a little noise.

    Args:
        x: vectors `[n, dim]`.
        k: number of clusters.
        iterations: Lloyd steps.
        generator: source of randomness, on the CPU.

    Returns:
        Centroids `[k, dim]` and the number of vectors in each `[k]` (float).
    """
    if len(x) < k:
        pick = torch.randint(len(x), (k,), generator=generator).to(x.device)
        noise = torch.randn(k, x.shape[1], generator=generator).to(x)
        return x[pick] + 1e-3 * x.std() * noise, torch.ones(k, device=x.device)
    centroids = _plus_plus(x, k, generator)
    counts = torch.zeros(k, device=x.device)
    for _ in range(iterations):
        codes = nearest(x, centroids)
        counts = torch.bincount(codes, minlength=k).to(x.dtype)
        sums = torch.zeros_like(centroids).index_add_(0, codes, x)
        centroids = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centroids)
        empty = (counts == 0).nonzero()[:, 0]
        if len(empty):
            # Splits the fullest clusters; both halves count for half.
            full = counts.topk(len(empty)).indices
            noise = torch.randn(len(empty), x.shape[1], generator=generator).to(x)
            centroids[empty] = centroids[full] + 1e-3 * x.std() * noise
            counts[empty] = counts[full] = counts[full] / 2
    return centroids, counts


def _plus_plus(x: torch.Tensor, k: int, generator: torch.Generator) -> torch.Tensor:
    # Seeding on a sample is as good as on everything and keeps the start fast for large k.
    sample = x[torch.randperm(len(x), generator=generator)[: 20 * k].to(x.device)]
    norms = sample.square().sum(1)
    # Of several candidates the one that helps most: far fewer bad local minima than with a single draw.
    candidates = 2 + int(math.log(k))
    chosen = torch.randint(len(sample), (1,), generator=generator).tolist()
    distance = (sample - sample[chosen[0]]).square().sum(1)
    for _ in range(k - 1):
        weights = distance.cpu()
        if float(weights.sum()) <= 0:  # all vectors are equal to a chosen one
            weights = torch.ones_like(weights)
        picks = torch.multinomial(weights, candidates, replacement=True, generator=generator).to(x.device)
        squares = norms - 2 * sample[picks] @ sample.T + norms[picks, None]
        distances = torch.minimum(distance, squares.clamp(min=0))
        best = int(distances.sum(1).argmin())
        chosen.append(int(picks[best]))
        distance = distances[best]
        distance[picks[best]] = 0  # despite rounding
    return sample[chosen].clone()
