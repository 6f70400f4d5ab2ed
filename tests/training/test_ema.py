"""The running average of the weights, against its formula."""

from __future__ import annotations

import torch

from codec.training.ema import averaged_copy, copy_buffers, update_average


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


def test_buffers_are_copied_and_parameters_left() -> None:
    torch.manual_seed(0)
    first, second = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    first(torch.randn(4, 3))
    with torch.no_grad():
        first.weight.fill_(5)
    copy_buffers(first, second)
    assert torch.equal(first.running_mean, second.running_mean)  # type: ignore[arg-type]
    assert torch.equal(second.weight, torch.ones(3))
