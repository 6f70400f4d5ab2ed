"""An ONNX graph in the making, whose weights stay where they are: in the model's safetensors file.

The weights are external data of the graph, by their place in that file, and are widened to the graph's type
by Cast nodes, which onnxruntime computes once when it loads the graph. A graph is then some tens of
kilobytes, and any ONNX runtime can load it from the folder that holds both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from codec.errors import ModelError
from codec.runtime.weights import WeightsFile

# Of the standard, and of its file format: the first with the operators that are used, for old runtimes.
OPSET = 20
_IR_VERSION = 9

_TYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT, "F64": TensorProto.DOUBLE}
TO_THE_END = np.iinfo(np.int64).max


Shape = Sequence[str | int]


class Graph:
    """A graph from input `x` and states to output `y` and the states after it.

    Values are names of tensors. `wide` computes in float64 instead of float32. `first` is a stream's first
    step, for networks whose first differs from the others (`is_special_at_first`): no states come in.
    """

    def __init__(self, weights: WeightsFile, *, wide: bool, first: bool = False) -> None:
        self.wide, self.first = wide, first
        self.dtype = np.float64 if wide else np.float32
        self.type = TensorProto.DOUBLE if wide else TensorProto.FLOAT
        self.state_shapes: list[tuple[int, ...]] = []
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[object, ...], str] = {}
        self._initializers: list[TensorProto] = []
        self._types: dict[str, int] = {}
        self._widened: dict[tuple[str, int], str] = {}
        self._kept: list[str] = []
        self._count = 0

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The one output of a new node."""
        return self.nodes(op, inputs, 1, **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """The outputs of a new node."""
        names = [self._new(op) for _ in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names

    def constant(self, value: object, dtype: type | None = None) -> str:
        """A constant that the graph itself holds, of the graph's float type if not given."""
        array: np.ndarray = np.asarray(value, self.dtype if dtype is None else dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._new("constant")
            self._initializers.append(numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def integers(self, *values: int) -> str:
        """A constant `[len(values)]` of int64, such as axes and shapes."""
        return self.constant(values, np.int64)

    def weight(self, name: str, dtype: int | None = None) -> str:
        """A tensor of the weights file, of a type of `TensorProto`: the graph's float type if not given."""
        dtype = self.type if dtype is None else dtype
        stored = self._stored(name)
        if stored == dtype:
            return name
        if (name, dtype) not in self._widened:
            self._widened[name, dtype] = self.node("Cast", name, to=dtype)
        return self._widened[name, dtype]

    def state(self, *shape: int) -> str:
        """The next state `[batch, *shape]` that comes in; `keep` says what goes out in its place.

        At a stream's first step it is zeros.
        """
        self.state_shapes.append(shape)
        if self.first:
            batch = self.node("Shape", "x", start=0, end=1)
            return self.node(
                "Expand", self.constant(0), self.node("Concat", batch, self.integers(*shape), axis=0)
            )
        return f"state_{len(self.state_shapes) - 1}"

    def keep(self, value: str) -> None:
        """What the state that was asked for before is after this step."""
        self._kept.append(value)

    def slice(self, x: str, axis: int, begin: int, end: int = TO_THE_END, step: int = 1) -> str:
        """`x[..., begin:end:step, ...]` along an axis, with Python's meaning of negative indices."""
        bounds = [self.integers(k) for k in (begin, end, axis, step)]
        return self.node("Slice", x, *bounds)

    def length(self, x: str, axis: int) -> str:
        """How many steps there are along an axis, `[1]`."""
        return self.node("Shape", x, start=axis, end=axis + 1)

    def mirrored_end(self, x: str, count: str) -> str:
        """The `count` `[1]` steps before the last of x `[batch, channels, time]`, in reverse."""
        end = self.node("Sub", self.integers(-2), count)
        return self.node("Slice", x, self.integers(-2), end, self.integers(2), self.integers(-1))

    def padded(self, x: str, count: str, mode: str = "constant") -> str:
        """x `[batch, channels, time]` and `count` `[1]` steps of zeros, or with "edge" of its last one."""
        pads = self.node("Concat", self.integers(0, 0, 0, 0, 0), count, axis=0)
        return self.node("Pad", x, pads, mode=mode)

    def matmul(self, x: str, weight: str) -> str:
        return self.node("MatMul", x, weight)

    def transpose(self, x: str, *order: int) -> str:
        return self.node("Transpose", x, perm=order)

    def reshape(self, x: str, *shape: int) -> str:
        """0 keeps a dimension, -1 takes what is left."""
        return self.node("Reshape", x, self.integers(*shape))

    def last_steps(self, x: str, like: str, axis: int) -> str:
        """As many steps of x, from its end, as there are in another value.

        With states without steps, convolutions shorten their input (`Manifest.crops`).
        """
        length = self.node("Neg", self.length(like, axis))
        return self.node("Slice", x, length, self.integers(TO_THE_END), self.integers(axis))

    def write(self, path: Path, y: str, x_shape: Shape, y_shape: Shape, weights_hash: str) -> None:
        """Completes the graph with the value y as its output, checks it and writes it."""
        y_names: list[str] = []
        for k, value in enumerate([y, *self._kept]):
            # Every output has a name of its own, also where a state is some other value as it is.
            y_names.append("y" if k == 0 else f"next_state_{k - 1}")
            self._nodes.append(helper.make_node("Identity", [value], [y_names[-1]]))
        x = helper.make_tensor_value_info("x", self.type, x_shape)
        shapes = [self._state_shape(k, shape) for k, shape in enumerate(self.state_shapes)]
        states = [
            helper.make_tensor_value_info(f"state_{k}", self.type, shape) for k, shape in enumerate(shapes)
        ]
        outputs = [
            helper.make_tensor_value_info(name, self.type, shape)
            for name, shape in zip(y_names, [y_shape, *shapes], strict=True)
        ]
        inputs = [x] if self.first else [x, *states]
        graph = helper.make_graph(self._nodes, path.stem, inputs, outputs, self._initializers)
        model = helper.make_model(
            graph,
            producer_name="codec",
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(model, {"weights_hash": weights_hash})
        path.write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(path))

    def _stored(self, name: str) -> int:
        """The type of a tensor of the weights file, which the graph refers to from now on."""
        if name not in self._types:
            place = self._weights.place(name)
            if place.dtype not in _TYPES:
                raise ModelError(f"{name} is of type {place.dtype}, which cannot be exported: use float16.")
            tensor = TensorProto(name=name, data_type=_TYPES[place.dtype], dims=place.shape)
            tensor.data_location = TensorProto.EXTERNAL
            where = {"location": self._weights.path.name, "offset": place.begin, "length": place.size}
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
            self._initializers.append(tensor)
            self._types[name] = _TYPES[place.dtype]
        return self._types[name]

    def _state_shape(self, index: int, shape: Sequence[int]) -> list[str | int]:
        if not shape:
            return ["batch"]
        # In float64 the last axis of a state may be empty, see `last_steps`.
        last = f"steps_{index}" if self.wide else shape[-1]
        return ["batch", *shape[:-1], last]

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"


def gelu(g: Graph, x: str) -> str:
    """`x Phi(x)`; in float64, for which runtimes have no error function, by the Taylor series of Phi.

    With x0 the nearest multiple of 1/256 and h = x - x0,
    `Phi(x) = Phi(x0) + phi(x0) (h - x0 h^2/2 + (x0^2 - 1) h^3/6 - (x0^3 - 3 x0) h^4/24) + ...`: the terms are
    Hermite polynomials (Abramowitz and Stegun 1964, 26.2.31), and those left out are below 1e-15.
    """
    if not g.wide:
        return g.node("Gelu", x)
    reach, grid = 9, 256  # beyond, Phi is 0 or 1
    near = g.node("Clip", x, g.constant(-reach), g.constant(reach))
    steps = g.node("Round", g.node("Mul", near, g.constant(grid)))
    index = g.node("Cast", g.node("Add", steps, g.constant(reach * grid)), to=TensorProto.INT64)
    points = np.arange(-reach * grid, reach * grid + 1) / grid
    table = [0.5 * math.erfc(-point / math.sqrt(2)) for point in points]
    base = g.node("Gather", g.constant(table), index)
    x0 = g.node("Mul", steps, g.constant(1 / grid))
    h = g.node("Sub", near, x0)
    square = g.node("Mul", x0, x0)
    density = g.node("Mul", g.node("Exp", g.node("Mul", square, g.constant(-0.5))), g.constant(_PHI_0))
    # Horner's scheme: h (1 + h (-x0/2 + h ((x0^2 - 1)/6 - h x0 (x0^2 - 3)/24))).
    fourth = g.node("Mul", g.node("Mul", x0, g.constant(1 / 24)), g.node("Sub", square, g.constant(3)))
    third = g.node("Mul", g.node("Sub", square, g.constant(1)), g.constant(1 / 6))
    series = g.node("Sub", third, g.node("Mul", h, fourth))
    series = g.node("Sub", g.node("Mul", h, series), g.node("Mul", x0, g.constant(0.5)))
    series = g.node("Add", g.node("Mul", h, series), g.constant(1))
    rise = g.node("Mul", g.node("Mul", h, series), density)
    return g.node("Mul", x, g.node("Add", base, rise))


def elu(g: Graph, x: str) -> str:
    """`x` above zero, `exp(x) - 1` below."""
    if not g.wide:
        return g.node("Elu", x)
    zero = g.constant(0)
    below = g.node("Sub", g.node("Exp", g.node("Min", x, zero)), g.constant(1))
    return g.node("Add", g.node("Max", x, zero), below)


_PHI_0 = 1 / math.sqrt(2 * math.pi)
