"""Whether every way to encode a recording gives the same codes, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

import codec
from codec.codec import Codec
from codec.errors import CodecError
from codec.runtime import OnnxEngine
from codec.tokens import Codes

Clips = Sequence[np.ndarray]
Way = Callable[[Clips], tuple[list[Codes], int | None]]
"""From clips to codes, and how many frames were rechecked, where that is known."""


@dataclass(frozen=True)
class Agreement:
    """One way to encode, against PyTorch's of whole recordings on one thread.

    frames: encoded. different: of them, those that have another code. rechecked: those that were too close to
    call in float32, where that is known. seconds: of the processor.
    """

    way: str
    frames: int
    different: int
    rechecked: int | None
    seconds: float


@dataclass(frozen=True)
class Recheck:
    """Processor seconds that onnxruntime takes to encode all clips, with the recheck and without.

    Without, a search too close for float32 is still made in float64, of the latents as they are.
    """

    with_recheck: float
    without: float


def compare(model: str | None, clips: Clips, sample_rate: int) -> Iterator[Agreement]:
    """Each way in turn on clips float32 `[samples]`, at the highest bitrate, if it is installed."""
    loaded = codec.load(model)
    random = np.random.default_rng(0)
    expected: list[Codes] = []
    for name, make in _ways(model, loaded, sample_rate, random).items():
        torch.set_num_threads(2 if "two threads" in name else 1)
        try:
            encode = make()
        except CodecError:
            continue
        begin = time.process_time()
        made, rechecked = encode(clips)
        seconds = time.process_time() - begin
        expected = expected or made
        different = sum(int((a != b).any(axis=(0, 1)).sum()) for a, b in zip(made, expected, strict=True))
        yield Agreement(name, sum(codes.shape[2] for codes in made), different, rechecked, seconds)
    torch.set_num_threads(1)


def recheck(model: str | None, clips: Clips, sample_rate: int, rounds: int = 3) -> Recheck:
    """What deciding close calls in float64 costs; raises ModelError for a model without graphs."""
    found = []
    for factor in (1.0, 0.0):
        loaded = codec.load(model, runtime="onnx")
        engine = loaded.engine
        assert isinstance(engine, OnnxEngine)
        engine.manifest = replace(engine.manifest, rounding=factor * engine.manifest.rounding)
        taken = []
        for _ in range(rounds):
            begin = time.process_time()
            for clip in clips:
                loaded.encode(clip, sample_rate)
            taken.append(time.process_time() - begin)
        found.append(min(taken))
    return Recheck(*found)


def _ways(
    name: str | None, model: Codec, rate: int, random: np.random.Generator
) -> dict[str, Callable[[], Way]]:
    def offline(codec: Codec) -> Way:
        return lambda clips: ([codec.encode(clip, rate).codes for clip in clips], None)

    def batched(codec: Codec) -> Way:
        return lambda clips: ([tokens.codes for tokens in codec.encode_batch(clips, rate)], None)

    def streamed(codec: Codec, length: Callable[[], int]) -> Way:
        def encode(clips: Clips) -> tuple[list[Codes], int]:
            made, rechecked = [], 0
            for clip in clips:
                stream, parts, at = codec.stream_encoder(sample_rate=rate), [], 0
                while at < len(clip):
                    chunk = clip[at : at + length()]
                    parts.append(stream.push(chunk))
                    at += len(chunk)
                made.append(np.concatenate([*parts, stream.flush()], axis=2))
                rechecked += stream.rechecked
            return made, rechecked

        return encode

    def frame() -> int:
        return model.hop_length * rate // model.sample_rate

    def any_length() -> int:
        return int(random.integers(1, rate // 2))

    ways = {
        "torch": lambda: offline(model),
        "torch, two threads": lambda: offline(model),
        "torch, one batch": lambda: batched(model),
        "torch, streamed in any chunks": lambda: streamed(model, any_length),
        "torch, streamed by frames": lambda: streamed(model, frame),
        "onnx": lambda: offline(codec.load(name, runtime="onnx")),
        "onnx, one batch": lambda: batched(codec.load(name, runtime="onnx")),
        "onnx, streamed in any chunks": lambda: streamed(codec.load(name, runtime="onnx"), any_length),
        "onnx, streamed by frames": lambda: streamed(codec.load(name, runtime="onnx"), frame),
        "numba, streamed by frames": lambda: streamed(codec.load(name, runtime="numba"), frame),
        "numba, streamed in any chunks": lambda: streamed(codec.load(name, runtime="numba"), any_length),
    }
    if torch.cuda.is_available():
        ways["torch, on a GPU"] = lambda: offline(codec.load(name, device="cuda"))
    return ways
