"""Muon against PyTorch's own, which takes bfloat16, and what orthogonalisation is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from codec.training.muon import Muon, orthogonal


@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 1000), scale=st.floats(1e-4, 1e4)
)
@settings(max_examples=40, deadline=None)
def test_singular_values_become_about_one_at_any_scale(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    matrix = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    u, values, vh = torch.linalg.svd(matrix, full_matrices=False)
    rotated = u.T @ orthogonal(matrix) @ vh.T
    kept = values > 0.01 * values[0]
    assert rotated.diag()[kept].min() > 0.6
    assert rotated.diag().max() < 1.3
    assert (rotated - rotated.diag().diag()).abs().max() < 0.05


def test_a_matrix_of_zeros_stays() -> None:
    assert not orthogonal(torch.zeros(4, 7)).any()


def test_it_moves_as_pytorchs_own_does_but_for_rounding() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(12, 20), torch.randn(3, 12, 20)
    own, other = (nn.Parameter(start.clone()) for _ in range(2))
    optimizers = (
        (own, Muon([own], 0.01, 0.1)),
        (other, torch.optim.Muon([other], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")),
    )
    for parameter, optimizer in optimizers:
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
    moved = (own - start).abs().mean()
    assert moved > 0.003
    assert (own - other).abs().mean() < 0.03 * moved


def test_what_has_no_gradient_stays_and_the_closure_s_loss_is_returned() -> None:
    matrix = nn.Parameter(torch.ones(2, 3))
    assert float(Muon([matrix], 0.1, 0.1).step(lambda: torch.tensor(3.0))) == pytest.approx(3)
    torch.testing.assert_close(matrix.detach(), torch.ones(2, 3))
