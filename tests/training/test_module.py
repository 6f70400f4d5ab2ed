"""The training step in all its forms: what is logged, what is left out, and what stays equal."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from codec.errors import CodecError, ConfigError
from codec.models.config import SeanetConfig, SegmentsConfig
from codec.models.network import CodecNetwork
from codec.quantize import CosineConfig, EuclideanConfig, GumbelConfig, StochasticConfig
from codec.training.guard import SkipGuard
from codec.training.module import CodecTraining
from tests.training.small import (
    BAND,
    CODEC,
    OPTIMIZER,
    PERIOD,
    QUANTIZER,
    STFT,
    SmallData,
    Speech,
    fit,
    judged,
    training,
    weights,
)


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])]


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(
    "discriminators",
    [
        {"stft": STFT},
        {"stft": None, "period": PERIOD},
        {"stft": None, "band": BAND},
        {"period": PERIOD, "band": BAND},
    ],
)
@pytest.mark.parametrize("objective", ["hinge", "least_squares"])
def test_any_discriminators_train_together(discriminators: dict[str, Any], objective: str) -> None:
    module = training(adversary=judged(1, objective=objective, **discriminators))
    assert module.adversary is not None
    names = {name.split(".")[1] for name in module.adversary.state_dict()}
    assert names == {name for name, config in {"stft": STFT, **discriminators}.items() if config}
    _, log = fit(module, 3)
    for column in ("loss/adversarial", "loss/feature", "loss/discriminator"):
        assert column not in log.steps[0], "before the discriminators start"
        assert all(math.isfinite(step[column]) for step in log.steps[1:])


@pytest.mark.parametrize("balancing", ["balancer", "adaptive", "none"])
def test_every_way_of_balancing_trains(balancing: Any) -> None:
    module = training(balancing=balancing, adversary=judged(1))
    before = state(module)
    _, log = fit(module, 3)
    last = log.steps[-1]
    shares = {name: value for name, value in last.items() if name.startswith("share/")}
    if balancing == "balancer":
        assert set(shares) == {"share/mel", "share/complex", "share/adversarial", "share/feature"}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert min(shares.values()) > 0.02
    else:
        assert not shares
    assert ("weight/adversarial" in last) == (balancing == "adaptive")
    moved = changed(module, before)
    for part in ("network.encoder", "network.decoder", "network.quantizer", "average.decoder", "adversary"):
        assert any(name.startswith(part) for name in moved), f"{part} has not learned"


def test_every_loss_has_a_column_and_a_loss_without_weight_none() -> None:
    full = weights(stft=1.0, waveform=0.5, adversarial=0.0)
    _, log = fit(training(weights=full, adversary=judged()), 1)
    for name in ("mel", "complex", "stft", "waveform", "feature", "commitment", "discriminator"):
        assert math.isfinite(log.steps[0][f"loss/{name}"])
    assert "loss/adversarial" not in log.steps[0]
    _, log = fit(training(weights=weights(mel=0.0, waveform=1.0)), 1)
    assert {n for n in log.steps[0] if n.startswith("loss/")} == {
        "loss/complex", "loss/waveform", "loss/commitment",
    }  # fmt: skip
    for name in ("perplexity/02", "usage/02", "entropy/02"):
        assert math.isfinite(log.steps[0][name])


def test_discriminators_learn_with_their_probability() -> None:
    config = judged(probability=0.4)
    often = [config.learns(step) for step in range(2000)]
    assert sum(often) / 2000 == pytest.approx(0.4, abs=0.04)
    assert often == [config.learns(step) for step in range(2000)]
    assert all(judged().learns(step) for step in range(100))


class Damaged(SmallData):
    """Batches of which some hold a value that is not finite."""

    def __init__(self, bad: set[int]) -> None:
        super().__init__()
        self._bad, self._count = bad, 0

    def on_after_batch_transfer(self, batch: torch.Tensor, dataloader_idx: int) -> torch.Tensor:
        if self._count in self._bad:
            batch[0, 0, 100:] = math.nan
        self._count += 1
        return batch


@pytest.mark.parametrize("lookup", [EuclideanConfig(), CosineConfig(dim=4)], ids=lambda lookup: lookup.kind)
def test_a_batch_that_is_not_finite_changes_nothing_and_is_counted(lookup: Any) -> None:
    """Codes that are restarted in every step would be replaced by what is not finite."""
    quantizer = dataclasses.replace(QUANTIZER, lookup=lookup, restart_below=0.9)
    module = training(codec=dataclasses.replace(CODEC, quantizer=quantizer), adversary=judged())
    _, log = fit(module, 3, data=Damaged({1, 2}))
    assert len(log.steps) == 5
    assert log.steps[-1]["skipped"] == 2
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    module = training()
    fit(module, 2)
    before = state(module)
    module.guard = SkipGuard(3)
    handle = module.network.decoder.unmix.weight.register_hook(lambda gradient: gradient / 0)  # type: ignore[union-attr, operator]
    with pytest.raises(CodecError, match="3 steps in a row"):
        fit(module, 20)
    handle.remove()
    assert module.guard.total == 3
    # The balancer may have learned that gradients were large; nothing else has moved.
    assert all(name.startswith("balancer.") for name in changed(module, before))


def test_bad_steps_in_a_row_end_the_training_with_one_clear_sentence() -> None:
    module = training(optimizer=type(OPTIMIZER)(skip_limit=4))
    with pytest.raises(CodecError, match="4 steps in a row were not finite: lower the learning rate"):
        fit(module, 20, data=Damaged(set(range(1, 30))))


def test_bfloat16_trains_with_spectra_and_codes_in_float32() -> None:
    module = training(adversary=judged(period=PERIOD), weights=weights(stft=1.0))
    seen: dict[str, torch.dtype] = {}
    quantizer, blocks = module.network.quantizer, module.network.encoder.blocks
    quantizer.register_forward_pre_hook(lambda _, inputs: seen.update(quantizer=inputs[0].dtype))
    blocks.register_forward_hook(lambda *args: seen.update(blocks=args[2][0].dtype))  # type: ignore[union-attr]
    _, log = fit(module, 3, precision="bf16-mixed", validate=True)
    assert seen["quantizer"] == torch.float32
    assert all(math.isfinite(value) for step in log.steps for value in step.values())
    assert math.isfinite(log.validation[0]["valid/mel@3"])
    _, exact = fit(training(adversary=judged(period=PERIOD), weights=weights(stft=1.0)), 3)
    assert log.steps[0]["loss/mel"] == pytest.approx(exact.steps[0]["loss/mel"], rel=0.02)


def test_two_channels_train_as_one_item() -> None:
    class Both(Speech):
        def __getitem__(self, index: int) -> torch.Tensor:
            x = super().__getitem__(index)
            return torch.cat([x, -0.5 * x])

    class StereoData(SmallData):
        def __init__(self) -> None:
            super().__init__()
            self.segments = Both(4000, 6)

        def val_dataloader(self) -> DataLoader[torch.Tensor]:
            return DataLoader(Both(16000, 1), 1)

    network = SeanetConfig(channels=4, ratios=(5, 4, 4), audio_channels=2)
    segments = SegmentsConfig(length=8000, step=8000, normalize=True)
    codec = dataclasses.replace(CODEC, network=network, segments=segments)
    _, log = fit(training(codec=codec), 3, data=StereoData(), validate=True)
    assert all(math.isfinite(value) for step in log.steps for value in step.values())
    assert math.isfinite(log.validation[0]["valid/mel@3"])
    with pytest.raises(ConfigError, match=r"set data\.channels to 2"):
        fit(training(codec=codec), 2)


@pytest.mark.parametrize("first", [0, 3])
def test_at_the_end_or_from_the_start_the_decoder_learns_alone_at_all_bitrates(first: int) -> None:
    held: dict[str, torch.Tensor] = {}

    class Hold(lightning.Callback):
        def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
            if trainer.global_step == first:
                held.update(state(module.average))

    module = training(decoder_from=first)
    _, log = fit(module, 6, callbacks=[Hold()])
    for part in (module.network, module.average):
        moved = changed(part, held)
        assert moved
        assert all(name.startswith("decoder.") for name in moved)
    assert all(math.isfinite(value) for step in log.steps for value in step.values())
    assert [step["loss/commitment"] == 0 for step in log.steps] == [False] * first + [True] * (6 - first)


def test_the_filter_bank_is_exact_under_autocast() -> None:
    network = training().network
    analysis, synthesis = network.encoder.analysis, network.decoder.synthesis
    x = torch.randn(1, 1, 800)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spectrum, _ = analysis(x)  # type: ignore[operator]
        back, _ = synthesis(spectrum)  # type: ignore[operator]
    assert spectrum.dtype == back.dtype == torch.float32
    torch.testing.assert_close(back[..., 80:], x[..., :-80], rtol=0, atol=1e-5)


def test_the_decoder_cannot_learn_alone_before_there_are_codebooks() -> None:
    with pytest.raises(ConfigError, match="decoder_from"):
        training(quantize_from=4, decoder_from=4)


def test_compiling_keeps_the_names_of_the_weights() -> None:
    plain, compiled = training(), training(compile=True)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert compiled.network.encoder._compiled_call_impl is not None
    with pytest.raises(ConfigError, match="adaptive"):
        training(compile=True, balancing="adaptive")


def test_data_at_another_rate_are_refused_before_training() -> None:
    data = SmallData()
    data.sample_rate = 24000
    with pytest.raises(ConfigError, match="24000 Hz and the codec works at 16000 Hz"):
        fit(training(), 1, data=data)


def test_stereo_batches_are_channels_of_one_model() -> None:
    class Stereo(SmallData):
        def on_after_batch_transfer(self, batch: torch.Tensor, dataloader_idx: int) -> torch.Tensor:
            return batch.expand(-1, 2, -1)

    module = training()
    sizes: list[torch.Size] = []
    module.network.encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    fit(module, 1, data=Stereo(), validate=True)
    assert (4, 1) in [tuple(size[:2]) for size in sizes]


def test_validation_reports_every_metric_at_every_rate() -> None:
    module = training(valid_kbps=(1.0, 3.0))
    _, log = fit(module, 3, validate=True)
    assert set(log.validation[0]) == {
        f"valid/{metric}@{kbps}" for metric in ("pesq", "stoi", "si_sdr", "mel") for kbps in (1, 3)
    }
    assert log.validation[0]["valid/mel@3"] < log.validation[0]["valid/mel@1"]


def test_names_of_the_network_s_weights_are_those_of_a_bare_network() -> None:
    module: CodecTraining = training()
    bare = list(CodecNetwork(CODEC).state_dict())
    for part in ("network", "average"):
        names = [n.removeprefix(f"{part}.") for n in module.state_dict() if n.startswith(f"{part}.")]
        assert names == bare


def test_codebooks_learn_at_their_own_rate_after_their_own_warm_up() -> None:
    lookup = EuclideanConfig(learning="gradient")
    codec = dataclasses.replace(CODEC, quantizer=dataclasses.replace(QUANTIZER, lookup=lookup, upkeep="none"))
    optimizer = dataclasses.replace(OPTIMIZER, codebook_rate=0.5, codebook_warmup_steps=4, decay_steps=0)
    module = training(codec=codec, optimizer=optimizer)
    fit(module, 2)
    others, books = module.optimizers().param_groups  # type: ignore[union-attr]
    assert [tuple(book.shape) for book in books["params"]] == [(32, 16)] * 3
    # The last of 2 steps, the end of the general warm-up and half of the codebooks' own.
    assert others["lr"] == pytest.approx(optimizer.rate)
    assert books["lr"] == pytest.approx(optimizer.rate * 0.5 * 2 / 4)


@pytest.mark.parametrize(
    ("lookup", "figure"),
    [(GumbelConfig(anneal_steps=4), "temperature"), (StochasticConfig(), "sigma")],
    ids=["gumbel", "stochastic"],
)
def test_figures_of_drawn_codes_are_logged_and_fall(
    lookup: GumbelConfig | StochasticConfig, figure: str
) -> None:
    codec = dataclasses.replace(CODEC, quantizer=dataclasses.replace(QUANTIZER, lookup=lookup))
    _, log = fit(training(codec=codec), 4)
    seen = [step[f"{figure}/stages.0"] for step in log.steps]
    assert all(later < earlier for earlier, later in itertools.pairwise(seen))


def test_latents_are_drawn_to_a_normal_distribution() -> None:
    _, log = fit(training(weights=weights(distribution=3.0)), 8)
    distances = [step["loss/distribution"] for step in log.steps]
    assert distances[-1] < distances[0]


@pytest.mark.parametrize("adversary", [None, judged(0)], ids=["alone", "judged"])
def test_muon_moves_linear_layers_by_orthogonal_steps(adversary: Any) -> None:
    """A step without momentum, decay or warm-up is, per layer, of the size that the rate says."""
    options = {} if adversary is None else {"adversary": adversary}
    optimizer = dataclasses.replace(
        OPTIMIZER,
        rate=1e-3,
        matrices="muon",
        matrix_rate=2.0,
        warmup_steps=0,
        decay_steps=0,
        weight_decay=0.0,
    )
    module = training(optimizer=optimizer, **options)
    module.started.fill_(True)  # nothing else than the step shall move weights
    before = state(module.network)
    fit(module, 1)
    parts = {name: p for name, p in module.network.named_parameters() if not name.startswith("quantizer")}
    matrices = {name for name, parameter in parts.items() if parameter.dim() == 2}
    assert matrices
    for name, parameter in parts.items():
        step = (parameter - before[name]).detach()
        if name.endswith("contract.weight"):
            # 0.2 sqrt(max(m, n)) times a matrix whose singular values, but for the least, are about 1.
            values = torch.linalg.svdvals(step) / (2e-3 * 0.2 * max(step.shape) ** 0.5)
            assert values[0] < 1.3, name
            assert values[3] > 0.6, name
        elif name not in matrices:
            assert float(step.abs().max()) <= 1.01e-3, name
