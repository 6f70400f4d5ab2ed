"""Causal layers that are functions of their input and an explicit streaming state.

Every layer here is called as `y, state = layer(x, state)`: `x` is `[batch, channels, time]`, `state` is what
the layer must remember of earlier input, and `None` means the start of a stream. States are plain tensors
with the batch as their first axis, or tuples of states. Their shape does not depend on how the stream was cut
into chunks, and streams are joined into a batch by concatenating their states.
"""

from codec.nn.centred import CentredConv1d, CentredConvTranspose1d
from codec.nn.conv import CausalConv1d, CausalConvTranspose1d
from codec.nn.convnext import ConvNeXtBlock
from codec.nn.mdct import MdctAnalysis, MdctSynthesis
from codec.nn.recurrent import ResidualLSTM
from codec.nn.residual import ResidualUnit
from codec.nn.sequential import Pointwise, State, StreamModule, StreamSequential
from codec.nn.weight_norm import fold_weight_norm, weight_norm

__all__ = [
    "CausalConv1d",
    "CausalConvTranspose1d",
    "CentredConv1d",
    "CentredConvTranspose1d",
    "ConvNeXtBlock",
    "MdctAnalysis",
    "MdctSynthesis",
    "Pointwise",
    "ResidualLSTM",
    "ResidualUnit",
    "State",
    "StreamModule",
    "StreamSequential",
    "fold_weight_norm",
    "weight_norm",
]
