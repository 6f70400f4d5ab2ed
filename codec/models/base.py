"""What every encoder and decoder offers to the rest of the codec."""

from __future__ import annotations

from codec.nn import StreamModule
from codec.recheck import ROUNDING


class Encoder(StreamModule):
    """`[batch, 1, samples] -> [batch, latent_dim, frames]`; samples must be a multiple of hop_length.

    Frame t depends on samples before `(t + 1) * hop_length` only.

    lead: frames that a stream's first call must have for more to follow.
    fills: samples that a recording is filled up to a multiple of, with silence; None for whole frames. With
        1 the layers themselves make up what the last frame lacks: samples may be any number at its end.
    causal: otherwise the first sentence holds for whole recordings only, and each frame depends on others.
    rounding: how far computing a latent in float32, without gradients, can move it towards the border to
        another code, relative to its norm; as `codec.recheck` needs it.
    """

    lead: int = 1
    fills: int | None = None
    causal: bool = True
    rounding: float = ROUNDING


class Decoder(StreamModule):
    """`[batch, latent_dim, frames] -> [batch, 1, frames * hop_length]`.

    Output sample i stands for sample `i - delay` of the recording, so the first `delay` samples are dropped.

    lead: as of the encoder, in latent frames.
    """

    delay: int = 0
    lead: int = 1
