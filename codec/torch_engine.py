"""A network that PyTorch runs, behind the contract of `codec.engine`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from codec.codec import Codec
from codec.engine import ModelFacts
from codec.exact import EncoderState, ExactEncoder, Search
from codec.models.base import Decoder
from codec.models.network import CodecNetwork
from codec.models.rates import Rates
from codec.nn import State
from codec.quantize import Quantizer
from codec.quantize.prepared import prepare
from codec.rows import RowDecoder, RowEncoder
from codec.tokens import Codes


class TorchEngine:
    """`codec.engine.Engine` of a network in evaluation mode, on whatever device it is.

    Args:
        network: encoder, quantizer and decoder with their weights.
        weights_hash: of the weights, as tokens carry it.
        smaller: the smaller codebooks that make bitrates between those of whole codebooks, if it has any.
    """

    def __init__(self, network: CodecNetwork, weights_hash: str, smaller: Rates | None = None) -> None:
        self.network = network.eval()
        self._smaller = smaller
        config = network.config
        self.facts = ModelFacts(
            name=config.name,
            weights_hash=weights_hash,
            sample_rate=config.sample_rate,
            hop_length=config.frame_length,
            codebook_sizes=network.quantizer.codebook_sizes,
            smaller=() if smaller is None else tuple(smaller.sizes),
            prices=() if smaller is None else smaller.prices,
            delay=network.decoder.delay,
            parameters=sum(p.numel() for p in network.parameters()),
            lead=max(network.encoder.lead, network.decoder.lead),
            fills=network.encoder.fills != 1,
            channels=config.audio_channels,
        )

    @cached_property
    def encoder(self) -> ExactEncoder:
        """The encoder and its copy in float64, which only encoding needs."""
        return ExactEncoder(self.network)

    @cached_property
    def _prepared(self) -> Quantizer:
        """The whole quantizer, ready to decode: a copy of megabytes, so one for all decoders."""
        return prepare(self.network.quantizer)

    def encoding(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> _TorchEncoding:
        quantizer = self.quantizer(codebook_sizes)
        other = None if quantizer is self.network.quantizer else quantizer
        return _TorchEncoding(self.encoder, self.encoder.search(len(codebook_sizes), other, price))

    def decoding(self, codebook_sizes: tuple[int, ...]) -> _TorchDecoding:
        quantizer = self.quantizer(codebook_sizes)
        whole = quantizer is self.network.quantizer
        return _TorchDecoding(self.network.decoder, self._prepared if whole else prepare(quantizer))

    def row_encoder(self, codebook_sizes: tuple[int, ...], price: float = 0.0) -> RowEncoder:
        """Encodes many streams at once, with codebooks of these sizes, at a price of their codes."""
        return RowEncoder(self.encoder, self.encoding(codebook_sizes, price).search)

    def row_decoder(self) -> RowDecoder:
        """Decodes the latents of many streams at once."""
        return RowDecoder(self.network.decoder)

    def quantizer(self, codebook_sizes: tuple[int, ...]) -> Quantizer:
        """What has codebooks of these sizes, and perhaps more after them."""
        whole = self.network.quantizer
        if self._smaller is None or codebook_sizes == whole.codebook_sizes[: len(codebook_sizes)]:
            return whole
        return self._smaller.quantizer(whole, len(codebook_sizes), codebook_sizes[-1])


class _TorchEncoding:
    def __init__(self, encoder: ExactEncoder, search: Search) -> None:
        self._encoder, self.search = encoder, search

    def step(
        self, audio: np.ndarray, state: EncoderState | None = None, valid: Sequence[int] | None = None
    ) -> tuple[Codes, EncoderState]:
        codes, after = self._encoder.step(
            torch.from_numpy(audio[:, None]),
            EncoderState() if state is None else state,
            self.search,
            None if valid is None else list(valid),
        )
        return codes.numpy().astype(np.uint16), after


class _TorchDecoding:
    def __init__(self, decoder: Decoder, quantizer: Quantizer) -> None:
        self._decoder, self._quantizer = decoder, quantizer
        self._device = next(decoder.parameters()).device

    @torch.inference_mode()
    def latents(self, codes: Codes) -> np.ndarray:
        latents = self._quantizer.decode(torch.from_numpy(codes.astype(np.int64)).to(self._device))
        return latents.cpu().numpy()

    @torch.inference_mode()
    def step(self, latents: np.ndarray, state: State = None) -> tuple[np.ndarray, State]:
        audio, state = self._decoder(torch.from_numpy(latents).to(self._device), state)
        return audio[:, 0].cpu().numpy(), state


def torch_codec(network: CodecNetwork, weights_hash: str, smaller: Rates | None = None) -> Codec:
    """A codec that PyTorch runs; arguments as for `TorchEngine`."""
    config = network.config
    if network.encoder.causal and config.segments is None and config.audio_channels == 1:
        return Codec(TorchEngine(network, weights_hash, smaller))
    from codec.torch_whole import TorchWholeEngine
    from codec.whole import WholeCodec

    return WholeCodec(TorchWholeEngine(network, weights_hash))
