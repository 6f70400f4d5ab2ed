"""Each layer of `codec.nn` and `codec.models` as nodes of an ONNX graph, in the order of its `forward`.

Values keep the layout of the layers, `[batch, channels, time]`, and so do states, but for the spectral codec,
whose values are `[batch, frames, channels]` between its convolutions, as matrix products want them.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper
from torch import nn

from codec.errors import ModelError
from codec.export import bands
from codec.export.attention import Names, layer_norm, transformer_layer
from codec.export.graph import TO_THE_END, Graph, elu, gelu
from codec.export.halves import ProjectingEncoder, UnprojectingDecoder
from codec.models.mimi import MimiDecoder, MimiEncoder
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
from codec.nn.frame_rate import Downsample
from codec.nn.transformer import TransformerLayer


def is_special_at_first(network: nn.Module) -> bool:
    """Whether a stream's first step mirrors what comes, and no state could stand for that."""
    return any(isinstance(layer, CausalConv1d) and layer.lead > 1 for layer in network.modules())


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
        case ProjectingEncoder():
            return _project(g, names, layer, emit(g, names, layer.encoder, x))
        case UnprojectingDecoder():
            return emit(g, names, layer.decoder, _unproject(g, names, layer, x))
        case MimiEncoder():
            x = emit(g, names, layer.transformer, emit(g, names, layer.seanet, x))
            return _downsample(g, names, layer.downsample, x)
        case MimiDecoder():
            x = _conv_transpose(g, names[layer.upsample.conv], layer.upsample.conv, x)
            return emit(g, names, layer.seanet, emit(g, names, layer.transformer, x))
        case TransformerLayer():
            return transformer_layer(g, names, layer, x)
        case SpectralEncoder():
            return _spectral_encoder(g, names, layer, x)
        case SpectralDecoder():
            return _spectral_decoder(g, names, layer, x)
        case CausalConv1d():
            return _conv(g, names, layer, x)
        case CausalConvTranspose1d() if not g.wide:
            return _conv_transpose(g, names[layer.conv], layer.conv, x)
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
    if layer.padding != "zeros":
        x = _continued(g, layer, x)
    elif context:
        x = g.node("Concat", g.state(conv.in_channels, context), x, axis=2)
    if context:
        g.keep(g.slice(x, 2, -context))
    return _convolve(g, names[conv], conv, x)


def _convolve(g: Graph, name: str, conv: nn.Conv1d, x: str) -> str:
    """Of all of x, without any past."""
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


def _continued(g: Graph, layer: CausalConv1d, x: str) -> str:
    """What the convolution sees of x, with the past before it and the last block filled up after it."""
    context, mirrors = layer.history, layer.padding == "reflect"
    if not context and layer.stride == 1:
        return x
    state = g.state(layer.conv.in_channels, context) if context else None
    missing = g.node("Mod", g.node("Neg", g.length(x, 2)), g.integers(layer.stride))
    if not (g.first and mirrors):
        x = x if state is None else g.node("Concat", state, x, axis=2)
        if layer.stride == 1:
            return x
        return g.node("Concat", x, g.mirrored_end(x, missing), axis=2) if mirrors else g.padded(x, missing)
    # As `codec.nn.padding.pad_ends`: of an x that is too short for that, zeros are mirrored, and go again.
    needed = g.node("Add", g.node("Max", missing, g.integers(context)), g.integers(1))
    short = g.node("Max", g.node("Sub", needed, g.length(x, 2)), g.integers(0))
    x = g.padded(x, short)
    x = g.node("Concat", g.slice(x, 2, context, 0, -1), x, g.mirrored_end(x, missing), axis=2)
    end = g.node("Sub", g.length(x, 2), short)
    return g.node("Slice", x, g.integers(0), end, g.integers(2))


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


def _conv_transpose(g: Graph, name: str, conv: nn.ConvTranspose1d, x: str) -> str:
    stride, overlap = conv.stride[0], conv.kernel_size[0] - conv.stride[0]
    y = g.node("ConvTranspose", x, g.weight(f"{name}.weight"), strides=[stride], group=conv.groups)
    if overlap:
        begin = g.node("Add", g.slice(y, 2, 0, overlap), g.state(conv.out_channels, overlap))
        y = g.node("Concat", begin, g.slice(y, 2, overlap), axis=2)
        g.keep(g.slice(y, 2, -overlap))
        y = g.slice(y, 2, 0, -overlap)
    if conv.bias is not None:
        y = g.node("Add", y, g.reshape(g.weight(f"{name}.bias"), -1, 1))
    return y


def _downsample(g: Graph, names: Names, layer: Downsample, x: str) -> str:
    """The first step stands before a stream's start, the last one after its end."""
    conv, stride = layer.conv, layer.stride
    past, begun = g.state(conv.in_channels, stride), g.state()
    at_start = g.node("Equal", g.node("Unsqueeze", begun, g.integers(1, 2)), g.constant(0))
    before = g.node("Where", at_start, g.slice(x, 2, 0, 1), past)
    missing = g.node("Mod", g.node("Neg", g.length(x, 2)), g.integers(stride))
    x = g.node("Concat", before, g.padded(x, missing, mode="edge"), axis=2)
    g.keep(g.slice(x, 2, -stride))
    g.keep(g.node("Max", begun, g.constant(1)))
    return _convolve(g, names[conv], conv, x)


def _project(g: Graph, names: Names, layer: ProjectingEncoder, x: str) -> str:
    weights = [g.weight(f"{names[part]}.weight") for part in layer.projections]
    return g.matmul(g.node("Concat", *weights, axis=0), x)


def _unproject(g: Graph, names: Names, layer: UnprojectingDecoder, x: str) -> str:
    weights = [g.weight(f"{names[part]}.weight") for part in layer.projections]
    return g.matmul(g.node("Concat", *weights, axis=1), x)


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


def _pointwise(g: Graph, name: str, x: str, dtype: int | None = None) -> str:
    """A convolution over single steps on `[batch, time, channels]`; dtype as of `Graph.weight`."""
    weight = g.node("Squeeze", g.weight(f"{name}.weight", dtype), g.integers(2))
    return g.node("Add", g.matmul(x, g.transpose(weight, 1, 0)), g.weight(f"{name}.bias", dtype))


def _blocks(g: Graph, names: Names, blocks: StreamSequential, x: str) -> str:
    """ConvNeXt blocks on `[batch, frames, channels]`."""
    for block in blocks.layers:
        if not isinstance(block, ConvNeXtBlock):
            raise ModelError(f"A network with the layer {type(block).__name__} cannot be exported to ONNX.")
        y = g.transpose(_conv(g, names, block.depthwise, g.transpose(x, 0, 2, 1)), 0, 2, 1)
        y = layer_norm(g, names, block.norm, y)
        y = _linear(g, names[block.contract], gelu(g, _linear(g, names[block.expand], y)))
        x = g.node("Add", g.last_steps(x, y, 1) if g.wide else x, y)
    return x


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
    if encoder.bands is None:
        y = _bend(g, spectrum, encoder.exponent, np.float64)
    else:
        y = bands.split(g, encoder.bands, spectrum)
    # The longest sums, and those of the largest values: in float32 they would make most of a latent's error.
    y = _pointwise(g, names[encoder.mix], y, TensorProto.DOUBLE)
    y = _blocks(g, names, encoder.blocks, y if g.wide else g.node("Cast", y, to=g.type))
    y = y if g.wide else g.node("Cast", y, to=TensorProto.DOUBLE)
    y = _pointwise(g, names[encoder.project], y, TensorProto.DOUBLE)
    return g.transpose(y if g.wide else g.node("Cast", y, to=g.type), 0, 2, 1)


def _spectral_decoder(g: Graph, names: Names, decoder: SpectralDecoder, x: str) -> str:
    hop = decoder.upsampling
    y = _pointwise(g, names[decoder.unproject], g.transpose(x, 0, 2, 1))
    y = _pointwise(g, names[decoder.unmix], _blocks(g, names, decoder.blocks, y))
    basis = g.node("Cast", _mdct_basis(g, hop), to=g.type)
    if decoder.bands is None:
        y = _bend(g, y, 1 / decoder.exponent, g.dtype)
    else:
        y = bands.join(g, decoder.bands, y)
    windows = g.matmul(y, basis)
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
