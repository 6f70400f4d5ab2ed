"""How gradients pass a quantizer, whose true derivative is zero almost everywhere."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from codec.quantize.config import Gradient


def straight_through(z: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """`z + sg(q - z)`: the value of q with the gradient of z (van den Oord et al. 2017, section 3.2)."""
    return z + (q - z).detach()


def rotation(z: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The value of q with the gradient of `|q|/|z| R z`, R the rotation that takes z to the direction of q.

    R and the ratio count as constants (Fifty et al. 2024, section 4.2). With unit vectors `a` of z, `b` of q
    and `r` of `a + b`, `R = I - 2 r r' + 2 b a'` (two Householder reflections), which is never written out.

    Args:
        z: vectors `[n, dim]`. q: their codes `[n, dim]`.
    """
    with torch.no_grad():
        a, b = F.normalize(z, dim=1), F.normalize(q, dim=1)
        r = F.normalize(a + b, dim=1)
        size = z.norm(dim=1, keepdim=True)
        # A latent of zero has no direction to turn from; its gradient must stay finite.
        ratio = torch.where(size > 0, q.norm(dim=1, keepdim=True) / size, 1.0)
    turned = z - 2 * (z * r).sum(1, keepdim=True) * r + 2 * (z * a).sum(1, keepdim=True) * b
    return straight_through(ratio * turned, q)


def noise_substitution(z: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """`z + |z - q| v/|v|`, `v ~ N(0, I)`: an error as large as the quantizer's, in a random direction.

    Its gradient reaches z and, through `|z - q|`, the codes too, which need no loss of their own (NSVQ, Vali
    and Backstrom 2022, equation 6). For training only: this is not the value that the codes stand for.

    Args:
        z: vectors `[n, dim]`. q: their codes `[n, dim]`.
    """
    direction = F.normalize(torch.randn_like(z), dim=1)
    return z + (z - q).norm(dim=1, keepdim=True) * direction


def pass_gradient(gradient: Gradient, z: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """What one codebook hands on in training for latents z with codes q, both `[n, dim]`.

    With "nsvq" that is q with the gradient of the codes: noise takes the place of the error of all codebooks
    together, which only the structure knows.
    """
    match gradient:
        case "straight_through":
            return straight_through(z, q)
        case "rotation":
            return rotation(z, q)
        case "nsvq":
            return q
