"""Coverage-guided fuzzing of a target (needs `pip install atheris`, which CI does without).

    python -m tests.fuzz.with_atheris tokenfile [libFuzzer options, e.g. -max_total_time=600]

Starts from the committed corpus. What it finds interesting goes to a temporary folder, a crash to a file.
"""

from __future__ import annotations

import sys
import tempfile

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["codec"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.with_atheris {'|'.join(TARGETS)} [libFuzzer options]")
    target = TARGETS[sys.argv[1]]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        """libFuzzer's mutations, every other one with right checksums, or it would see nothing else."""
        changed = bytes(atheris.Mutate(data, max_size))
        return target.repair(changed)[:max_size] if seed % 2 else changed

    folders = [str(folder) for folder in target.seeds]
    with tempfile.TemporaryDirectory() as found:
        arguments = [sys.argv[0], found, *folders, "-max_len=4096", "-timeout=2", "-rss_limit_mb=1024"]
        atheris.Setup([*arguments, *sys.argv[2:]], target.run, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
