"""`python -m codec.evaluation.speed.child KEY SECONDS MODEL`: memory and start of one contender, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time


def main(key: str, seconds: float, model: str | None) -> None:
    """Encodes and decodes noise; prints the peak memory of this process, and how long it took to begin."""
    begin = time.perf_counter()
    if key in ("onnx", "numba"):  # whose point is to do without PyTorch
        import codec

        loaded = codec.load(model, runtime="onnx" if key == "onnx" else "numba")
        started = time.perf_counter() - begin
        loaded.decode(loaded.encode(_noise(loaded.sample_rate, seconds), loaded.sample_rate))
    else:
        from codec.evaluation.speed.contenders import build

        contender = build(key, model)
        started = time.perf_counter() - begin
        contender.decode(contender.encode(contender.prepare(_noise(contender.sample_rate, seconds))))
    print(json.dumps({"peak_mib": _peak_mib(), "start_seconds": started}))


def _peak_mib() -> float:
    try:
        # On Linux `ru_maxrss` also remembers the process that started this one.
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**10
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _noise(rate: int, seconds: float):  # type: ignore[no-untyped-def]
    import numpy as np

    return 0.1 * np.random.default_rng(0).standard_normal(round(rate * seconds)).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3] or None)
