"""Mutated files by the thousand, each the same for the same seed, and what the worst of them cost.

    python -m tests.fuzz.mutate tokenfile --count 200000 --seed 0

Prints every file whose reading failed with an unexpected exception, or took over a second of processor time,
and in the end the longest time and the growth of the process's memory. Exit code 1 when anything was found.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time

from tests.fuzz.targets import TARGETS, Target

_SPECIAL = [0x00, 0x01, 0x7F, 0x80, 0xFF, 0x89, 0xB1, 0xD3, 0xE8]
_MOST_SECONDS = 1.0
_MOST_MEGABYTES = 200


def mutated(target: Target, corpus: list[bytes], rng: random.Random) -> bytes:
    """One of the corpus after 1 to 8 changes; in half of all cases with its checksums made right again."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        rng.choice(_CHANGES)(data, corpus, rng)
    return target.repair(bytes(data)) if rng.random() < 0.5 else bytes(data)


def _flip_bit(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((*_SPECIAL, rng.randrange(256)))


def _early_byte(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    # The header and the first page's head decide most.
    if data:
        data[rng.randrange(min(len(data), 60))] = rng.choice((*_SPECIAL, rng.randrange(256)))


def _cut(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.randrange(1, 40)]


def _insert(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.randrange(1, 40))


def _large_number(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at : at + 1] = b"\xff" * rng.randrange(1, 10) + b"\x7f"


def _repeat(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    some = data[start : start + rng.randrange(1, 200)]
    data[start:start] = some * rng.randrange(1, 5)


def _splice(data: bytearray, corpus: list[bytes], rng: random.Random) -> None:
    other = rng.choice(corpus)
    start = rng.randrange(len(other) + 1)
    data[rng.randrange(len(data) + 1) :] = other[start:]


_CHANGES = (
    _flip_bit,
    _set_byte,
    _early_byte,
    _early_byte,
    _cut,
    _remove,
    _insert,
    _large_number,
    _repeat,
    _splice,
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Read mutated files and report what goes wrong.")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    target = TARGETS[options.target]
    corpus, rng = target.corpus(), random.Random(options.seed)
    target.run(corpus[0])  # imports belong to no file
    before, longest, bad = _peak_megabytes(), 0.0, 0
    for number in range(options.count):
        data = mutated(target, corpus, rng)
        begin = time.process_time()
        try:
            target.run(data)
        except Exception as error:
            bad += 1
            print(f"file {number}: {type(error).__name__}: {error}\n  {data.hex()}", flush=True)
        took = time.process_time() - begin
        longest = max(longest, took)
        if took > _MOST_SECONDS:
            bad += 1
            print(f"file {number}: {took:.2f} s\n  {data.hex()}", flush=True)
        if number % 20_000 == 19_999:
            print(
                f"{number + 1} files, longest {longest:.3f} s, {_peak_megabytes() - before:.0f} MB",
                flush=True,
            )
    memory = _peak_megabytes() - before
    print(
        f"{options.count} files: {bad} bad, longest {longest:.3f} s, memory grew by {memory:.0f} MB at most"
    )
    return int(bool(bad) or memory > _MOST_MEGABYTES)


def _peak_megabytes() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    sys.exit(main())
