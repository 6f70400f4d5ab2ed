"""The training callback that watches the distribution of latents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from codec.quantize.analysis import projected_test
from codec.training.callbacks.distribution import Distribution
from tests.networks import small_network


def test_the_statistic_of_the_latents_is_logged_at_its_steps() -> None:
    network = small_network()
    logged: dict[str, float] = {}
    module: Any = SimpleNamespace(network=network, log=logged.__setitem__)
    torch.manual_seed(1)
    batch = 0.3 * torch.randn(2, 3, 1010)
    callback = Distribution(every_steps=10, directions=4)
    callback.on_train_batch_end(SimpleNamespace(global_step=9), module, None, batch, 0)
    assert logged == {}
    callback.on_train_batch_end(SimpleNamespace(global_step=20), module, None, batch, 0)
    with torch.no_grad():
        latents = network.encoder(batch.flatten(0, 1)[:, None, :1000])[0].transpose(1, 2).flatten(0, 1)
    assert logged == {"distribution/normal": projected_test(latents, "normal", directions=4).statistic}
