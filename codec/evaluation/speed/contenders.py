"""The codecs whose speed is compared: ours, and peers with random weights, on which speed does not depend."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

import codec
from codec.audio import resample
from codec.errors import CodecError, ConfigError
from codec.evaluation import commands
from codec.nn import fold_weight_norm
from codec.shipped import Runtime
from codec.torch_engine import TorchEngine

_PEERS_HINT = 'pip install "codec[peers]"'


class Contender(ABC):
    """A codec that can be timed. kbps: of its codes here; nan if unknown. software: with its version."""

    name: str
    software: str
    sample_rate: int
    kbps: float
    parameters: int | None = None

    def prepare(self, audio: np.ndarray) -> Any:
        """Audio float32 `[samples]` at this codec's rate, as `encode` takes it."""
        return audio

    @abstractmethod
    def encode(self, x: Any) -> Any:
        """Codes of what `prepare` gave."""

    @abstractmethod
    def decode(self, codes: Any) -> object:
        """Audio of what `encode` gave."""

    def macs(self) -> tuple[float, float] | None:
        """Multiplications with addition per second of audio, to encode and to decode; None if unknown."""
        return None


class Own(Contender):
    """A model of this package."""

    def __init__(self, runtime: Runtime, model: str | None) -> None:
        self.model = codec.load(model, runtime=runtime)
        self.name = f"{self.model.name}, {runtime}"
        library = {"torch": "torch", "onnx": "onnxruntime", "numba": "numba"}[runtime]
        self.software = f"codec {codec.__version__}, {library} {version(library)}"
        self.sample_rate, self.kbps = self.model.sample_rate, max(self.model.kbps)
        self.parameters = int(self.model.info()["parameters"])

    def encode(self, x: np.ndarray) -> codec.Tokens:
        return self.model.encode(x, self.sample_rate)

    def decode(self, codes: codec.Tokens) -> np.ndarray:
        return self.model.decode(codes)

    def macs(self) -> tuple[float, float] | None:
        if not isinstance(self.model.engine, TorchEngine):
            return None
        network = self.model.engine.network
        audio = torch.zeros(1, 1, self.sample_rate)
        codes = network.quantizer.encode(network.encoder(audio)[0]).codes
        return (
            _macs(lambda: network.quantizer.encode(network.encoder(audio)[0])),
            _macs(lambda: network.decoder(network.quantizer.decode(codes))),
        )


class _Torch(Contender):
    """A peer that is a PyTorch module."""

    module: torch.nn.Module

    def prepare(self, audio: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(audio)[None, None]

    def count(self) -> None:
        """Makes the module ready, with its weight norms folded as ours are, and counts its parameters."""
        self.module.eval()
        fold_weight_norm(self.module)
        self.parameters = sum(p.numel() for p in self.module.parameters())

    def macs(self) -> tuple[float, float] | None:
        x = self.prepare(np.zeros(self.sample_rate, np.float32))
        codes = self.encode(x)
        return _macs(lambda: self.encode(x)), _macs(lambda: self.decode(codes))


class Encodec(_Torch):
    """EnCodec 24 kHz, causal, as in transformers."""

    def __init__(self) -> None:
        from transformers import EncodecConfig, EncodecModel

        self.module = EncodecModel(EncodecConfig())
        self.name, self.sample_rate, self.kbps = "EnCodec 24 kHz", 24000, 6.0
        self.software = f"transformers {version('transformers')}"
        self.count()

    @torch.inference_mode()
    def encode(self, x: torch.Tensor) -> Any:
        return self.module.encode(x, bandwidth=self.kbps)  # type: ignore[operator]

    @torch.inference_mode()
    def decode(self, codes: Any) -> object:
        return self.module.decode(codes.audio_codes, codes.audio_scales)  # type: ignore[operator]


class Dac(_Torch):
    """The Descript Audio Codec of 16 or 24 kHz, as in transformers."""

    def __init__(self, sample_rate: int, codebooks: int) -> None:
        from transformers import DacConfig, DacModel

        config = DacConfig(sampling_rate=sample_rate, downsampling_ratios=[2, 4, 5, 8], n_codebooks=codebooks)
        self.module = DacModel(config)
        self.name, self.sample_rate = f"DAC {sample_rate // 1000} kHz", sample_rate
        self.kbps = codebooks * 10 * sample_rate / 320 / 1000
        self.software = f"transformers {version('transformers')}"
        self.count()

    @torch.inference_mode()
    def encode(self, x: torch.Tensor) -> Any:
        return self.module.encode(x).audio_codes  # type: ignore[operator]

    @torch.inference_mode()
    def decode(self, codes: Any) -> object:
        return self.module.decode(audio_codes=codes)  # type: ignore[operator]


class Mimi(_Torch):
    """Mimi, with 8 codebooks, as in transformers."""

    def __init__(self) -> None:
        from transformers import MimiConfig, MimiModel

        self.module = MimiModel(MimiConfig())
        self.name, self.sample_rate, self.kbps = "Mimi", 24000, 1.1
        self.software = f"transformers {version('transformers')}"
        self.count()

    @torch.inference_mode()
    def encode(self, x: torch.Tensor) -> Any:
        return self.module.encode(x, num_quantizers=8).audio_codes  # type: ignore[operator]

    @torch.inference_mode()
    def decode(self, codes: Any) -> object:
        return self.module.decode(codes)  # type: ignore[operator]


class Snac(_Torch):
    """SNAC 24 kHz."""

    def __init__(self) -> None:
        from snac import SNAC

        self.module = SNAC(
            sampling_rate=24000,
            encoder_dim=48,
            encoder_rates=[2, 4, 8, 8],
            decoder_dim=1024,
            decoder_rates=[8, 8, 4, 2],
            attn_window_size=None,
            codebook_size=4096,
            codebook_dim=8,
            vq_strides=[4, 2, 1],
            noise=True,
            depthwise=True,
        )
        self.name, self.sample_rate, self.kbps = "SNAC 24 kHz", 24000, 0.98
        self.software = f"snac {version('snac')}"
        self.count()

    @torch.inference_mode()
    def encode(self, x: torch.Tensor) -> Any:
        return self.module.encode(x)  # type: ignore[operator]

    @torch.inference_mode()
    def decode(self, codes: Any) -> object:
        return self.module.decode(codes)  # type: ignore[operator]


class Opus(Contender):
    """Opus by opusenc and opusdec, the start of a process included; one thread always."""

    def __init__(self) -> None:
        for program in ("opusenc", "opusdec"):
            commands.require(program, "install opus-tools")
        self.name, self.sample_rate, self.kbps = "Opus", 16000, 6.0
        self.software = commands.run(["opusenc", "--version"]).partition("\n")[0]

    def encode(self, x: np.ndarray) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            original, coded = (os.path.join(folder, name) for name in ("a.wav", "a.opus"))
            commands.write_wav(original, x[None], self.sample_rate)
            commands.run(["opusenc", "--quiet", "--bitrate", f"{self.kbps:g}", original, coded])
            with open(coded, "rb") as file:
                return file.read()

    def decode(self, codes: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            coded, made = (os.path.join(folder, name) for name in ("a.opus", "a.wav"))
            with open(coded, "wb") as file:
                file.write(codes)
            commands.run(["opusdec", "--quiet", coded, made])
            return os.path.getsize(made)


def builders(model: str | None) -> dict[str, tuple[Callable[[], Contender], str]]:
    """How each contender is made, by its key, and how to install what it needs."""
    return {
        "torch": (lambda: Own("torch", model), "pip install codec"),
        "onnx": (lambda: Own("onnx", model), 'pip install "codec[onnx]", then codec export'),
        "numba": (lambda: Own("numba", model), 'pip install "codec[numba]", then codec export'),
        "encodec": (Encodec, _PEERS_HINT),
        "dac16": (lambda: Dac(16000, 12), _PEERS_HINT),
        "dac24": (lambda: Dac(24000, 32), _PEERS_HINT),
        "mimi": (Mimi, _PEERS_HINT),
        "snac": (Snac, _PEERS_HINT),
        "opus": (Opus, "install opus-tools"),
    }


def build(key: str, model: str | None = None) -> Contender:
    """The contender; raises ConfigError, which says how to install it, when it is missing."""
    make, hint = builders(model)[key]
    torch.manual_seed(0)
    try:
        return make()
    except ImportError as error:
        raise ConfigError(f"{key}: {error.name or error} is not installed: {hint}.") from error
    except CodecError as error:
        raise ConfigError(f"{key}: {error} ({hint})") from error


def speech(audio: np.ndarray, from_rate: int, to_rate: int, seconds: float) -> np.ndarray:
    """Audio float32 `[samples]` repeated or cut to a length, at another rate."""
    at_rate = resample(audio[None], from_rate, to_rate)[0]
    return np.resize(at_rate, round(seconds * to_rate))


def _macs(work: Callable[[], object]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    # With gradients on, our own layers take the plain functions, which the counter knows.
    with torch.inference_mode(False), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2
