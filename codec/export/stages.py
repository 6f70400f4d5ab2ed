"""A quantizer's codebooks in the form that `codec.runtime.search` searches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from codec.errors import ModelError
from codec.quantize import Quantizer, ResidualQuantizer
from codec.quantize.cosine import CosineStage
from codec.quantize.euclidean import EuclideanStage
from codec.quantize.rates import FixedStage
from codec.quantize.sim import SimStage
from codec.quantize.split import SplitQuantizer
from codec.quantize.stage import Stage
from codec.quantize.vq_vae import GradientStage
from codec.runtime.search import Codebook


@dataclass(frozen=True)
class Stages:
    """Either the names of the tensors that the codebooks are, or the codebooks, each with float32 values.

    begins: as of `codec.runtime.manifest.Manifest`.
    """

    names: tuple[str, ...] = ()
    begins: tuple[int, ...] = ()
    packed: list[tuple[Codebook, np.ndarray]] = field(default_factory=list)


@torch.no_grad()
def stages_of(quantizer: Quantizer) -> Stages:
    """The codebooks of a residual quantizer that are searched by distance or angle, or of a split one.

    Raises:
        ModelError: another quantizer.
    """
    if isinstance(quantizer, SplitQuantizer):
        halves = ("semantic", quantizer.semantic), ("acoustic", quantizer.acoustic)
        found = [_of_residual(half.residual, f"quantizer.{name}.residual") for name, half in halves]
        if any(part.packed for part in found):
            raise ModelError("A split quantizer is exported to ONNX with Euclidean codebooks only.")
        inner = quantizer.semantic.project.out_features
        begins = tuple(k * inner for k, part in enumerate(found) for _ in part.names)
        return Stages(names=found[0].names + found[1].names, begins=begins)
    return _of_residual(quantizer, "quantizer")


def _of_residual(quantizer: Quantizer, name: str) -> Stages:
    if not isinstance(quantizer, ResidualQuantizer):
        raise ModelError(
            f"{type(quantizer).__name__} cannot be exported to ONNX: only residual quantizers can."
        )
    if quantizer.config.beam > 1 and name != "quantizer":
        raise ModelError("A split quantizer cannot be exported to ONNX with a beam search: set beam to 1.")
    stages = [stage for stage in quantizer.stages if isinstance(stage, Stage)]
    if all(isinstance(stage, EuclideanStage | GradientStage) for stage in stages):
        return Stages(names=tuple(f"{name}.stages.{k}.codebook" for k in range(len(stages))))
    return Stages(packed=[(_codebook(stage), _numpy(stage.all_vectors())) for stage in stages])


def _codebook(stage: Stage) -> Codebook:
    """In float64, of the weights as they are."""
    match stage:
        case CosineStage():
            weight, bias = (_wide(part) for part in (stage.unproject.weight, stage.unproject.bias))
            codes = _wide(stage.codebook)
            return Codebook(
                values=_numpy(F.linear(codes, weight, bias)),
                keys=_numpy(F.normalize(codes)),
                weight=_numpy(_wide(stage.project.weight)),
                bias=_numpy(_wide(stage.project.bias)),
            )
        case SimStage():
            values = _numpy(_wide(stage.fixed) @ _wide(stage.transform))
        case EuclideanStage() | GradientStage() | FixedStage():
            values = _numpy(_wide(stage.codebook))
        case _:
            raise ModelError(f"Codebooks of the kind {type(stage).__name__} cannot be exported to ONNX.")
    return Codebook(values=values, keys=values)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.detach().cpu().double()


def _numpy(x: torch.Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
