"""What every encoder and decoder offers to the rest of the codec."""

from __future__ import annotations

from codec.nn import StreamModule
from codec.recheck import ROUNDING


class Encoder(StreamModule):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`; samples must be a multiple of hop_length.

    Frame t depends on samples before `(t + 1) * hop_length` only.

    rounding: largest error of a latent that is computed in float32 without gradients, as `codec.recheck`
    needs it.
    """

    rounding: float = ROUNDING


class Decoder(StreamModule):
    """`[batch, latent_dim, frames] -> [batch, 1, frames * hop_length]`.

    Output sample i stands for sample `i - delay` of the recording, so the first `delay` samples are dropped.
    """

    delay: int = 0
