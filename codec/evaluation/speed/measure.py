"""Timing of contenders: taking turns, so that a machine that others use too is fair to all of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from codec.codec import Codec
from codec.errors import ModelError
from codec.evaluation.speed.contenders import Contender, speech


@dataclass
class Timing:
    """Of one piece of work, in seconds: each round's time on the clock, and of the processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], Any]) -> Any:
        """Does the work and keeps its times. The processor's count child processes too."""
        wall, cpu = time.perf_counter(), _cpu_seconds()
        result = work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(_cpu_seconds() - cpu)
        return result

    def plain(self, seconds: float) -> dict[str, float]:
        """Multiples of real time: median, slowest and fastest round, and by processor time."""
        speeds = [seconds / each for each in self.wall]
        cpu = statistics.median(self.cpu)
        return {
            "x_real_time": statistics.median(speeds),
            "slowest": min(speeds),
            "fastest": max(speeds),
            "x_real_time_cpu": seconds / max(cpu, 1e-9),
        }


def compare(
    contenders: Sequence[Contender], audio: np.ndarray, rate: int, seconds: float, rounds: int, threads: int
) -> list[dict[str, Any]]:
    """One row a contender: what it makes of `seconds` of audio float32 `[samples]`, in turns with the others.

    threads: of PyTorch; a contender of another kind uses what it does. The first round only warms up.
    """
    torch.set_num_threads(threads)
    inputs = [c.prepare(speech(audio, rate, c.sample_rate, seconds)) for c in contenders]
    times = [(Timing(), Timing()) for _ in contenders]
    for number in range(rounds + 1):
        for contender, x, timing in zip(contenders, inputs, times, strict=True):
            encoding, decoding = timing if number else (Timing(), Timing())
            codes = encoding.add(partial(contender.encode, x))
            decoding.add(partial(contender.decode, codes))
    return [
        {
            "name": contender.name,
            "software": contender.software,
            "threads": threads,
            "sample_rate": contender.sample_rate,
            "kbps": contender.kbps,
            "parameters": contender.parameters,
            "encode": timing[0].plain(seconds),
            "decode": timing[1].plain(seconds),
        }
        for contender, timing in zip(contenders, times, strict=True)
    ]


def frames(model: Codec, audio: np.ndarray, seconds: float) -> dict[str, dict[str, float]]:
    """Milliseconds that one streamed frame takes to encode, to decode and both, over `seconds` of audio.

    audio: float32 `[samples]` at the model's rate. "cpu" is both, by processor time.
    """
    hop = model.hop_length
    x = np.resize(audio, round(seconds * model.sample_rate) // hop * hop).reshape(-1, hop)
    encoder, decoder = model.stream_encoder(), model.stream_decoder()
    taken = np.zeros((len(x), 4))
    for number, chunk in enumerate(x):
        cpu, begin = time.thread_time(), time.perf_counter()
        codes = encoder.push(chunk)
        middle = time.perf_counter()
        decoder.push(codes)
        end = time.perf_counter()
        taken[number] = middle - begin, end - middle, end - begin, time.thread_time() - cpu
    warm = 1000 * taken[min(20, len(x) - 1) :]
    return {
        name: {
            "median": float(np.median(column)),
            "p95": float(np.percentile(column, 95)),
            "p99": float(np.percentile(column, 99)),
            "maximum": float(column.max()),
        }
        for name, column in zip(("encode", "decode", "both", "cpu"), warm.T, strict=True)
    }


def first_byte(model: Codec) -> float:
    """Milliseconds from a model's latency's worth of audio to the first codes and samples of new streams."""
    hop = model.hop_length
    chunk = np.zeros(hop, np.float32)
    taken = []
    for _ in range(10):
        begin = time.perf_counter()
        encoder, decoder = model.stream_encoder(), model.stream_decoder()
        while not decoder.push(encoder.push(chunk)).size:
            pass
        taken.append(1000 * (time.perf_counter() - begin))
    return statistics.median(taken) + 1000 * model.latency


def in_own_process(key: str, model: str | None, seconds: float) -> dict[str, float]:
    """Peak memory in MiB, and seconds to import and build, of one contender in a process of its own.

    Raises:
        ModelError: the process failed.
    """
    command = [sys.executable, "-m", "codec.evaluation.speed.child", key, str(seconds), model or ""]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelError(f"Measuring the memory of {key} failed: {reason[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def start_up(rounds: int = 3) -> dict[str, float]:
    """Seconds that `codec --version` takes from a cold process: median, on the clock and of the processor."""
    timing = Timing()
    for _ in range(rounds):
        timing.add(
            lambda: subprocess.run(
                [sys.executable, "-c", "from codec.cli import main; main(['--version'])"],
                check=True,
                capture_output=True,
            )
        )
    return {"wall": statistics.median(timing.wall), "cpu": statistics.median(timing.cpu)}


def _cpu_seconds() -> float:
    # `os.times` counts this process in hundredths of a second, which is too coarse.
    children = os.times()
    return time.process_time() + children.children_user + children.children_system
