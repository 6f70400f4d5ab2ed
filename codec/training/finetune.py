"""Fine-tuning: training that starts from the weights of a model, or of another training's checkpoint."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import torch
from torch.nn.utils import parametrize

from codec import shipped
from codec.errors import ModelError
from codec.models.config import CodecConfig, from_json
from codec.models.network import CodecNetwork
from codec.models.store import stored_tensors
from codec.quantize import ResidualConfig
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.stage import Stage
from codec.training.adversary import Adversary
from codec.training.discriminators import load_discriminators

log = logging.getLogger(__name__)


@torch.no_grad()
def start_from_weights(network: CodecNetwork, adversary: Adversary | None, source: str) -> None:
    """Gives the network, and discriminators where the source has the same ones, the weights of source.

    The codebooks' moving averages, which a model does not hold, start again from the codebooks.

    Args:
        network: set in place.
        adversary: set in place if the source, or the file beside it, has the same discriminators.
        source: name of a shipped model, path of a model or of another codec's checkpoint, or of a `.ckpt`
            that training wrote.

    Raises:
        ModelError: there is no such model, or its architecture is another one.
    """
    if source.endswith(".ckpt"):
        config, states = read_checkpoint(Path(source))
        check_same(network.config, config, source)
        network.load_state_dict(_below("average.", states))
        for stage in network.quantizer.modules():
            if isinstance(stage, EuclideanStage):
                stage.keep_skip()  # which the source may not have
        judges = _below("adversary.", states)
        if adversary is not None and _shapes(judges) == _shapes(adversary.state_dict()):
            adversary.load_state_dict(judges)
            log.info("discriminators go on from %s", source)
        return
    loaded, _ = shipped.load_network(source)
    check_same(network.config, loaded.config, source)
    copy_folded(loaded, network)
    for stage in network.quantizer.modules():
        if isinstance(stage, Stage):
            stage.forget()
    if adversary is None or shipped.is_checkpoint(source):
        return
    weights = shipped.resolve(source)
    if load_discriminators(adversary, weights):
        log.info("discriminators go on from those beside %s", weights.name)


def read_checkpoint(path: Path) -> tuple[CodecConfig, dict[str, torch.Tensor]]:
    """The codec's configuration and all tensors of a checkpoint; raises ModelError when it is none."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return from_json(content["codec"]), content["state_dict"]
    except FileNotFoundError as error:
        raise ModelError(f"There is no checkpoint at {path}.") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged, or not a checkpoint of codec training.") from error


def check_same(wanted: CodecConfig, found: CodecConfig, where: object) -> None:
    """Raises ModelError unless both configurations mean the same architecture."""
    for name in ("sample_rate", "hop_length", "latent_dim", "network"):
        _compare(getattr(wanted, name), getattr(found, name), f"codec.{name}", where)
    mine, theirs = wanted.quantizer, found.quantizer
    _compare(mine.kind, theirs.kind, "codec.quantizer.kind", where)
    if isinstance(mine, ResidualConfig) and isinstance(theirs, ResidualConfig):
        _compare(mine.n_codebooks, theirs.n_codebooks, "codec.quantizer.n_codebooks", where)
        _compare(mine.codebook_size, theirs.codebook_size, "codec.quantizer.codebook_size", where)
        _compare(mine.lookup.kind, theirs.lookup.kind, "codec.quantizer.lookup", where)
    _compare(mine.codebook_sizes, theirs.codebook_sizes, "the sizes of codec.quantizer's codebooks", where)


def check_shapes(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor], where: object) -> None:
    """Raises ModelError unless two state dicts have the same names and shapes."""
    mine, theirs = _shapes(wanted), _shapes(found)
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            _compare(mine.get(name, "missing"), theirs.get(name, "missing"), name, where)


def _compare(wanted: object, found: object, what: str, where: object) -> None:
    if wanted != found:
        raise ModelError(
            f"{where} is of another architecture: {what} is {found} there and {wanted} in this recipe; use "
            "the recipe that it was trained with."
        )


def copy_folded(source: CodecNetwork, target: CodecNetwork) -> None:
    """Sets the weights of target to those of source, which are stored without weight normalisation."""
    parts = dict(target.named_modules())
    # Averages belong to a way of learning, and the target's codes may learn in another one.
    for name, tensor in stored_tensors(source).items():
        owner, _, leaf = name.rpartition(".")
        if parametrize.is_parametrized(parts[owner], leaf):
            # Splits the weight into length and direction.
            setattr(parts[owner], leaf, tensor)
        else:
            getattr(parts[owner], leaf).copy_(tensor)


def _below(prefix: str, states: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: t for name, t in states.items() if name.startswith(prefix)}


def _shapes(states: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in states.items()}
