"""Each layer of `codec.nn` and `codec.models` as nodes of an ONNX graph, in the order of its `forward`.

Values keep the layout of the layers, `[batch, channels, time]`, and so do states, but for the spectral codec,
whose values are `[batch, frames, channels]` between its convolutions, as matrix products want them.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper
from torch import nn

from codec.errors import ModelError
from codec.export.graph import TO_THE_END, Graph, elu, gelu
from codec.models.seanet import SeanetDecoder, SeanetEncoder
from codec.models.spectral import KNEE, SpectralDecoder, SpectralEncoder
from codec.nn import (
    CausalConv1d,
    CausalConvTranspose1d,
    ConvNeXtBlock,
    Pointwise,
    ResidualLSTM,
    ResidualUnit,
    StreamModule,
    StreamSequential,
)

Names = dict[nn.Module, str]
"""The name of every module in the network, as its weights' names begin."""


def emit(g: Graph, names: Names, layer: StreamModule, x: str) -> str:
    """The output of a layer for input x.

    Raises:
        ModelError: a layer that has no ONNX form here.
    """
    match layer:
        case StreamSequential():
            for part in layer.layers:
                assert isinstance(part, StreamModule)
                x = emit(g, names, part, x)
            return x
        case SeanetEncoder() | SeanetDecoder():
            return emit(g, names, layer.model, x)
        case SpectralEncoder():
            return _spectral_encoder(g, names, layer, x)
        case SpectralDecoder():
            return _spectral_decoder(g, names, layer, x)
        case CausalConv1d():
            return _conv(g, names, layer, x)
        case CausalConvTranspose1d() if not g.wide:
            return _conv_transpose(g, names, layer, x)
        case ResidualUnit():
            shortcut = emit(g, names, layer.shortcut, x)
            return g.node("Add", shortcut, emit(g, names, layer.block, x))
        case ResidualLSTM():
            return _lstm(g, names, layer, x)
        case Pointwise(module=nn.Identity()):
            return x
        case Pointwise(module=nn.ELU(alpha=1.0)):
            return elu(g, x)
    raise ModelError(f"A network with the layer {type(layer).__name__} cannot be exported to ONNX.")


def _conv(g: Graph, names: Names, layer: CausalConv1d, x: str) -> str:
    conv, context = layer.conv, layer.history
    if context:
        x = g.node("Concat", g.state(conv.in_channels, context), x, axis=2)
        g.keep(g.slice(x, 2, -context))
    name = names[conv]
    bias = [] if conv.bias is None else [g.weight(f"{name}.bias")]
    if not g.wide:
        # In two dimensions, one of them 1: onnxruntime's kernels for those are several times faster.
        axis = g.integers(2)
        y = g.node(
            "Conv",
            g.node("Unsqueeze", x, axis),
            g.node("Unsqueeze", g.weight(f"{name}.weight"), axis),
            *bias,
            strides=[1, conv.stride[0]],
            dilations=[1, conv.dilation[0]],
            group=conv.groups,
        )
        return g.node("Squeeze", y, axis)
    y = _wide_conv(g, conv, name, x)
    return g.node("Add", y, g.reshape(bias[0], -1, 1)) if bias else y


def _wide_conv(g: Graph, conv: nn.Conv1d, name: str, x: str) -> str:
    """A convolution without its bias, as products: runtimes have none in float64."""
    taps, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    # What each tap sees: as many steps as there are outputs.
    seen = []
    for tap in range(taps):
        after = (taps - 1 - tap) * dilation
        end = -after if after else TO_THE_END
        seen.append(g.slice(x, 2, tap * dilation, end, stride))
    weight = g.weight(f"{name}.weight")
    if conv.groups == 1:
        # [out, in, taps] -> [out, taps * in], and the input alike.
        flat = g.reshape(g.transpose(weight, 0, 2, 1), conv.out_channels, taps * conv.in_channels)
        return g.matmul(flat, g.node("Concat", *seen, axis=1))
    if not conv.groups == conv.in_channels == conv.out_channels:
        raise ModelError("Convolutions in groups of several channels cannot be exported to ONNX.")
    columns = [g.slice(g.reshape(weight, conv.out_channels, taps), 1, tap, tap + 1) for tap in range(taps)]
    return g.node("Sum", *(g.node("Mul", part, column) for part, column in zip(seen, columns, strict=True)))


def _conv_transpose(g: Graph, names: Names, layer: CausalConvTranspose1d, x: str) -> str:
    conv = layer.conv
    stride, overlap = conv.stride[0], conv.kernel_size[0] - conv.stride[0]
    y = g.node("ConvTranspose", x, g.weight(f"{names[conv]}.weight"), strides=[stride])
    if overlap:
        begin = g.node("Add", g.slice(y, 2, 0, overlap), g.state(conv.out_channels, overlap))
        y = g.node("Concat", begin, g.slice(y, 2, overlap), axis=2)
        g.keep(g.slice(y, 2, -overlap))
        y = g.slice(y, 2, 0, -overlap)
    if conv.bias is not None:
        y = g.node("Add", y, g.reshape(g.weight(f"{names[conv]}.bias"), -1, 1))
    return y


def _lstm(g: Graph, names: Names, layer: ResidualLSTM, x: str) -> str:
    lstm, name = layer.lstm, names[layer.lstm]
    depth, size = lstm.num_layers, lstm.hidden_size
    before = [g.state(depth, size), g.state(depth, size)]
    steps = g.transpose(x, 2, 0, 1)  # [time, batch, channels]
    after: list[tuple[str, str]] = []
    for k in range(depth):
        # [batch, depth, size] -> [1, batch, size].
        hidden, cell = (g.transpose(g.slice(state, 1, k, k + 1), 1, 0, 2) for state in before)
        weights = [g.weight(f"{name}.{kind}_l{k}") for kind in ("weight_ih", "weight_hh")]
        biases = [g.weight(f"{name}.{kind}_l{k}") for kind in ("bias_ih", "bias_hh")]
        run = _wide_lstm_layer if g.wide else _lstm_layer
        steps, hidden, cell = run(g, size, steps, hidden, cell, weights, biases)
        after.append((hidden, cell))
    for states in zip(*after, strict=True):
        g.keep(g.node("Concat", *(g.transpose(state, 1, 0, 2) for state in states), axis=1))
    return g.node("Add", x, g.transpose(steps, 1, 2, 0))


def _lstm_layer(
    g: Graph, size: int, x: str, hidden: str, cell: str, weights: list[str], biases: list[str]
) -> tuple[str, str, str]:
    """Output `[time, batch, size]` and the states `[1, batch, size]` after it."""

    def ordered(weight: str) -> str:
        # PyTorch has the gates in the order input, forget, cell, output; ONNX input, output, forget, cell.
        parts = [g.slice(weight, 0, gate * size, (gate + 1) * size) for gate in (0, 3, 1, 2)]
        return g.node("Concat", *parts, axis=0)

    axis = g.integers(0)
    w, r = (g.node("Unsqueeze", ordered(weight), axis) for weight in weights)
    b = g.node("Unsqueeze", g.node("Concat", *(ordered(bias) for bias in biases), axis=0), axis)
    y, hidden, cell = g.nodes("LSTM", [x, w, r, b, "", hidden, cell], 3, hidden_size=size)
    return g.node("Squeeze", y, g.integers(1)), hidden, cell


def _wide_lstm_layer(
    g: Graph, size: int, x: str, hidden: str, cell: str, weights: list[str], biases: list[str]
) -> tuple[str, str, str]:
    """As `_lstm_layer`, step by step: runtimes have no LSTM in float64."""
    inputs = g.matmul(x, g.transpose(weights[0], 1, 0))
    gates = g.node("Add", inputs, g.node("Add", *biases))
    recurrent = g.transpose(weights[1], 1, 0)
    node = helper.make_node
    gate_names = ["input", "forget", "update", "output"]
    body = helper.make_graph(
        [
            node("MatMul", ["hidden_in", recurrent], ["product"]),
            node("Add", ["product", "gates"], ["sum"]),
            node("Split", ["sum"], gate_names, axis=1, num_outputs=4),
            *(node("Sigmoid", [name], [f"{name}_gate"]) for name in ("input", "forget", "output")),
            node("Tanh", ["update"], ["new"]),
            node("Mul", ["forget_gate", "cell_in"], ["kept"]),
            node("Mul", ["input_gate", "new"], ["added"]),
            node("Add", ["kept", "added"], ["cell_out"]),
            node("Tanh", ["cell_out"], ["squashed"]),
            node("Mul", ["output_gate", "squashed"], ["hidden_out"]),
            node("Identity", ["hidden_out"], ["step"]),
        ],
        "step",
        [_info(name, size) for name in ("hidden_in", "cell_in")] + [_info("gates", 4 * size)],
        [_info(name, size) for name in ("hidden_out", "cell_out", "step")],
    )
    axis = g.integers(0)
    start = [g.node("Squeeze", state, axis) for state in (hidden, cell)]
    hidden, cell, y = g.nodes("Scan", [*start, gates], 3, body=body, num_scan_inputs=1)
    return y, g.node("Unsqueeze", hidden, axis), g.node("Unsqueeze", cell, axis)


def _info(name: str, size: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["batch", size])


def _linear(g: Graph, name: str, x: str) -> str:
    """A linear layer, or a convolution over single steps, on `[batch, time, channels]`."""
    weight = g.weight(f"{name}.weight")
    return g.node("Add", g.matmul(x, g.transpose(weight, 1, 0)), g.weight(f"{name}.bias"))


def _pointwise(g: Graph, name: str, x: str) -> str:
    """A convolution over single steps on `[batch, time, channels]`."""
    weight = g.node("Squeeze", g.weight(f"{name}.weight"), g.integers(2))
    return g.node("Add", g.matmul(x, g.transpose(weight, 1, 0)), g.weight(f"{name}.bias"))


def _blocks(g: Graph, names: Names, blocks: StreamSequential, x: str) -> str:
    """ConvNeXt blocks on `[batch, frames, channels]`."""
    for block in blocks.layers:
        if not isinstance(block, ConvNeXtBlock):
            raise ModelError(f"A network with the layer {type(block).__name__} cannot be exported to ONNX.")
        y = g.transpose(_conv(g, names, block.depthwise, g.transpose(x, 0, 2, 1)), 0, 2, 1)
        y = _layer_norm(g, names, block.norm, y)
        y = _linear(g, names[block.contract], gelu(g, _linear(g, names[block.expand], y)))
        x = g.node("Add", g.last_steps(x, y, 1) if g.wide else x, y)
    return x


def _layer_norm(g: Graph, names: Names, norm: nn.LayerNorm, x: str) -> str:
    """Over the last axis."""
    weight, bias = (g.weight(f"{names[norm]}.{part}") for part in ("weight", "bias"))
    if not g.wide:
        return g.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)
    # Step by step: the operator's epsilon has float32 digits only.
    axis = g.integers(-1)
    centred = g.node("Sub", x, g.node("ReduceMean", x, axis))
    variance = g.node("ReduceMean", g.node("Mul", centred, centred), axis)
    deviation = g.node("Sqrt", g.node("Add", variance, g.constant(norm.eps)))
    return g.node("Add", g.node("Mul", g.node("Div", centred, deviation), weight), bias)


def _bend(g: Graph, x: str, exponent: float, dtype: type) -> str:
    """`x (x^2 + knee)^((exponent - 1) / 2)` of x of a type, as `models.spectral.compress`."""
    square = g.node("Add", g.node("Mul", x, x), g.constant(KNEE, dtype))
    return g.node("Mul", x, g.node("Pow", square, g.constant((exponent - 1) / 2, dtype)))


def _spectral_encoder(g: Graph, names: Names, encoder: SpectralEncoder, x: str) -> str:
    hop = encoder.stride
    x = g.node("Concat", g.state(1, hop), x, axis=2)
    g.keep(g.slice(x, 2, -hop))
    blocks = g.reshape(x, 0, -1, hop)
    windows = g.node("Concat", g.slice(blocks, 1, 0, -1), g.slice(blocks, 1, 1), axis=2)
    windows = windows if g.wide else g.node("Cast", windows, to=TensorProto.DOUBLE)
    spectrum = g.matmul(windows, g.transpose(_mdct_basis(g, hop), 1, 0))
    y = _bend(g, spectrum, encoder.exponent, np.float64)
    y = y if g.wide else g.node("Cast", y, to=g.type)
    y = _blocks(g, names, encoder.blocks, _pointwise(g, names[encoder.mix], y))
    return g.transpose(_pointwise(g, names[encoder.project], y), 0, 2, 1)


def _spectral_decoder(g: Graph, names: Names, decoder: SpectralDecoder, x: str) -> str:
    hop = decoder.upsampling
    y = _pointwise(g, names[decoder.unproject], g.transpose(x, 0, 2, 1))
    y = _pointwise(g, names[decoder.unmix], _blocks(g, names, decoder.blocks, y))
    basis = g.node("Cast", _mdct_basis(g, hop), to=g.type)
    windows = g.matmul(_bend(g, y, 1 / decoder.exponent, g.dtype), basis)
    head, tail = g.slice(windows, 2, 0, hop), g.slice(windows, 2, hop)
    overlap = g.node("Concat", g.state(1, hop), g.slice(tail, 1, 0, -1), axis=1)
    g.keep(g.slice(tail, 1, -1))
    return g.reshape(g.node("Add", head, overlap), 0, 1, -1)


def _mdct_basis(g: Graph, hop: int) -> str:
    """`nn.mdct.mdct_basis` in float64, computed at loading: as a constant it would be most of the file."""
    n = g.constant(np.arange(2 * hop) + 0.5, np.float64)
    k = g.constant(np.arange(hop)[:, None] + 0.5, np.float64)
    shifted = g.node("Add", n, g.constant(hop / 2, np.float64))
    scale = g.constant(np.pi / hop, np.float64)
    cosine = g.node("Cos", g.node("Mul", g.node("Mul", scale, shifted), k))
    window = np.sqrt(2 / hop) * np.sin(np.pi / (2 * hop) * (np.arange(2 * hop) + 0.5))
    basis = g.node("Mul", g.constant(window, np.float64), cosine)
    grid = g.constant(2.0**22, np.float64)
    return g.node("Div", g.node("Round", g.node("Mul", basis, grid)), grid)
