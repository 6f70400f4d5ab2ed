"""Typed configurations of a codec, and their JSON form.

A configuration is a tree of frozen dataclasses. Each part that comes in several kinds carries the name of its
kind in the field `kind`, so that JSON and YAML say in plain words which one they mean.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeVar, Union

from codec.errors import ConfigError
from codec.quantize.config import QuantizerConfig, ResidualConfig

T = TypeVar("T")


@dataclass(frozen=True)
class SpectralConfig:
    """Encoder and decoder at the frame rate, between two filter banks (`models.spectral`).

    width: channels of the ConvNeXt blocks; at least the model's hop_length.
    expansion: hidden channels of a block, as a multiple of width.
    kernel_size: taps of the depthwise convolutions, in frames.
    encoder_blocks, decoder_blocks: number of ConvNeXt blocks.
    compand: exponent that compresses the magnitude of spectral coefficients; 1 switches it off.
    """

    kind: Literal["spectral"] = "spectral"
    width: int = 384
    expansion: int = 2
    kernel_size: int = 7
    encoder_blocks: int = 4
    decoder_blocks: int = 6
    compand: float = 0.6


@dataclass(frozen=True)
class SeanetConfig:
    """EnCodec's strided convolutional encoder and decoder in causal form (`models.seanet`).

    channels: channels after the first convolution; doubled by every stride.
    ratios: strides of the decoder, first to last, and of the encoder in reverse; their product is hop_length.
    kernel_size, last_kernel_size, residual_kernel_size: taps of the first, last and residual convolutions.
    residual_layers: residual units per stride, with dilations dilation_base ** i.
    compress: channels inside a residual unit are divided by this.
    lstm_layers: recurrent layers at the frame rate, 0 for none (none keeps the receptive field finite).
    conv_shortcut: a 1x1 convolution in the shortcut of a residual unit (EnCodec) instead of the identity.
    """

    kind: Literal["seanet"] = "seanet"
    channels: int = 32
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    residual_layers: int = 1
    dilation_base: int = 2
    compress: int = 2
    lstm_layers: int = 0
    conv_shortcut: bool = True


@dataclass(frozen=True)
class CodecConfig:
    """A whole codec.

    name: identifies the model in token files, e.g. "speech-16k".
    sample_rate: rate that the network works at, in Hz; other rates are resampled.
    hop_length: samples per latent frame.
    latent_dim: channels of the latents that are quantized.
    network: encoder and decoder.
    quantizer: from latents to codes.
    """

    name: str = "speech-16k"
    sample_rate: int = 16000
    hop_length: int = 320
    latent_dim: int = 96
    network: Union[SpectralConfig, SeanetConfig] = field(default_factory=SpectralConfig)  # noqa: UP007 (jsonargparse)
    quantizer: QuantizerConfig = field(default_factory=ResidualConfig)

    def __post_init__(self) -> None:
        # A lone surrogate, which UTF-8 cannot write, counts as three bytes here and is refused below.
        if not self.name or len(self.name.encode(errors="surrogatepass")) > 64:
            raise ConfigError("A codec needs a name of 1 to 64 bytes.")
        if any(0xD800 <= ord(letter) < 0xE000 for letter in self.name):
            raise ConfigError(f"The codec's name {self.name!r} holds a character that UTF-8 cannot write.")
        if min(self.sample_rate, self.hop_length, self.latent_dim) < 1:
            raise ConfigError("sample_rate, hop_length and latent_dim must be positive.")

    @property
    def frame_length(self) -> int:
        """Samples per frame of codes: hop_length times the quantizer's stride."""
        return self.hop_length * self.quantizer.stride

    @property
    def frame_rate(self) -> Fraction:
        """Frames of codes per second."""
        return Fraction(self.sample_rate, self.frame_length)


def to_json(config: CodecConfig) -> str:
    """The configuration as indented JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> CodecConfig:
    """The configuration that `to_json` wrote.

    Raises:
        ConfigError: not JSON, an unknown key, or a value of the wrong type.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"The model configuration is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise ConfigError("The model configuration is not valid: its JSON is nested too deeply.") from error
    return from_plain(data, "model")


def from_plain(data: object, where: str) -> CodecConfig:
    """The configuration from plain values, as JSON and YAML have them; `where` they stand is for messages.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type.
    """
    return _build(CodecConfig, data, where)


def _build(kind: type[T], data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must be an object with keys, not {data!r}.")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        close = difflib.get_close_matches(unknown[0], hints, 1, 0.5)
        hint = f": did you mean {close[0]!r}?" if close else f"; it knows {', '.join(sorted(hints))}."
        raise ConfigError(f"{where} has the unknown key {unknown[0]!r}{hint}")
    try:
        return kind(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in data.items()})
    except TypeError as error:
        raise ConfigError(f"{where} is incomplete: {error}.") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        named = [typing.cast(type, option) for option in arguments if dataclasses.is_dataclass(option)]
        if named:
            kinds: list[Any] = [
                next(f.default for f in dataclasses.fields(option) if f.name == "kind") for option in named
            ]
            # Files from before a part came in several kinds do not name the only one that there was.
            wanted = value.get("kind", kinds[0]) if isinstance(value, dict) else None
            for option, kind in zip(named, kinds, strict=True):
                if wanted == kind:
                    return _build(option, value, where)
            raise ConfigError(f"{where} names the unknown kind {wanted!r}; there are {', '.join(kinds)}.")
        return _value(next(option for option in arguments if option is not type(None)), value, where)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, arguments))}, not {value!r}.")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list, not {value!r}.")
        return tuple(_value(arguments[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError(f"{where} is too large a number.") from error
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return value
