"""`codec models`: the models that ship with the package."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from codec import shipped
from codec.cli import options
from codec.errors import ModelError
from codec.tokens import ladder

# Hops of audio between a sample's arrival and its output: the frame, and the overlap of a filter bank.
_LATENCY_HOPS = {"spectral": 2, "seanet": 1}


def models(as_json: options.Json = False) -> None:
    """List the models that ship with codec."""
    found = [facts(shipped.resolve(name)) for name in shipped.names()]
    if as_json:
        for model in found:
            print(json.dumps(model))
        return
    for model in found:
        low, high = model["kbps"]
        if model["vbr"] is not None:
            variable = ", variable ones from {:.2g} to {:.2g} kbps".format(*model["vbr"])
        else:
            variable = ""
        latency = "" if model["latency_ms"] is None else f", {model['latency_ms']:g} ms latency"
        print(
            f"{model['name']}{' (default)' if model['default'] else ''}: {model['sample_rate']:,} Hz, "
            f"{model['frame_rate']:g} frames/s, {model['bitrates']} bitrates from {low:g} to {high:g} kbps "
            f"per channel{variable}{latency}, {model['bytes'] / 2**20:.1f} MiB on disk"
        )


def facts(weights: Path) -> dict[str, Any]:
    """What a model's JSON says, as plain values; raises ModelError.

    The typed configuration lies among code that imports PyTorch, for which listing names should not wait.
    """
    path = weights.with_suffix(".json")
    try:
        config = json.loads(path.read_text())
        quantizer, rate, hop = config["quantizer"], config["sample_rate"], config["hop_length"]
        count, size = quantizer["n_codebooks"], quantizer["codebook_size"]
        steps = ladder((size,) * count, _smaller(weights, count))
        kbps = [sum(map(math.log2, sizes)) * rate / hop / 1000 for sizes in (steps[0], steps[-1])]
        hops = _LATENCY_HOPS.get(config["network"]["kind"])
        return {
            "name": config["name"],
            "default": weights.stem == shipped.DEFAULT,
            "sample_rate": rate,
            "frame_rate": rate / hop,
            "codebooks": count,
            "codebook_size": size,
            "kbps": kbps,
            "bitrates": len(steps),
            "vbr": _variable(weights),
            "latency_ms": None if hops is None else 1000 * hops * hop / rate,
            "bytes": weights.stat().st_size,
        }
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, BadZipFile) as error:
        raise ModelError(f"The model's configuration {path} cannot be read: {error!r}.") from error


def _variable(weights: Path) -> list[float] | None:
    """The least and the highest variable bitrate, in kbps per channel; None where there is none."""
    path = weights.with_suffix(".rates.npz")
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        prices = file["prices"] if "prices" in file.files else np.zeros((0, 3))
    return [float(prices[0, 0]), float(prices[-1, 0])] if len(prices) else None


def _smaller(weights: Path, codebooks: int) -> list[list[int]]:
    """Sizes, rising, that each codebook can also have: the members of what `codec.models.rates` writes."""
    path = weights.with_suffix(".rates.npz")
    names = ZipFile(path).namelist() if path.is_file() else []
    parts = [name.removesuffix(".npy").split("/") for name in names if name.startswith("assignment/")]
    return [sorted(int(size) for _, at, size in parts if at == str(k)) for k in range(codebooks)]
