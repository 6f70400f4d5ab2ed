"""The golden files: what they hold, and how they were made, once.

    python -m tests.tokenfile.golden_files

makes those that are missing, and never changes one that is there: every later version must read them as the
`.json` beside each says. A change of the format adds files.
"""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from codec import tokenfile
from codec.tokens import Tokens
from tests.tokenfile.examples import file_of, some_tokens, streamed

GOLDEN = Path(__file__).parent / "golden"


def recipes() -> dict[str, bytes]:
    """The bytes of each golden file as this version writes them: one for each shape of format 1."""
    speech = some_tokens(
        frames=30, model="speech-16k", weights_hash="0123456789abcdef", metadata={"title": "Tee", "a": "ü"}
    )
    mixed = some_tokens(2, sizes=(1024, 7, 65536), frames=23, skip=5, seed=1, n_samples=7300)
    odd = some_tokens(
        1, sizes=(1000,), frames=40, seed=2, sample_rate=44100, frame_rate=Fraction(11025, 128), model="odd"
    )
    bits = some_tokens(3, sizes=(2,), frames=19, seed=3, n_samples=6000)
    return {
        "one_page": file_of(speech),
        "mixed_sizes": file_of(mixed, 10),
        "index": file_of(odd, 2),
        "stream": streamed(mixed, 10),
        "stream_index": streamed(bits, 1),
        "stream_without_length": _without_length(speech),
        "stream_without_end": streamed(mixed, 10, close=False),
        "empty": file_of(some_tokens(frames=0)),
        "many_codebooks": file_of(some_tokens(8, 64, 3, sizes=(16,) * 64, seed=4), 2),
    }


def neutral(tokens: Tokens) -> dict[str, Any]:
    """Tokens as plain values."""
    return {
        "sample_rate": tokens.sample_rate,
        "frame_rate": [tokens.frame_rate.numerator, tokens.frame_rate.denominator],
        "n_samples": tokens.n_samples,
        "skip": tokens.skip,
        "model": tokens.model,
        "weights_hash": tokens.weights_hash,
        "metadata": dict(tokens.metadata),
        "codebook_sizes": list(tokens.codebook_sizes),
        "codes": tokens.codes.tolist(),
    }


def tokens_of_neutral(facts: dict[str, Any]) -> Tokens:
    """The tokens that plain values describe."""
    codes = np.array(facts["codes"], dtype=np.uint16)
    return Tokens(
        codes=codes,
        codebook_sizes=tuple(facts["codebook_sizes"]),
        frame_rate=Fraction(*facts["frame_rate"]),
        **{
            name: facts[name]
            for name in ("sample_rate", "n_samples", "skip", "model", "weights_hash", "metadata")
        },
    )


def _without_length(tokens: Tokens) -> bytes:
    file = io.BytesIO()
    header = tokenfile.header_of(
        Tokens(tokens.codes, tokens.codebook_sizes, tokens.frame_rate, tokens.sample_rate, None), 20
    )
    writer = tokenfile.PageWriter(file, header)
    writer.push(tokens.codes)
    writer.close()
    return file.getvalue()


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, data in recipes().items():
        path = GOLDEN / f"{name}.cdc"
        if path.exists():
            continue
        path.write_bytes(data)
        facts = neutral(tokenfile.read(io.BytesIO(data)))
        path.with_suffix(".json").write_text(json.dumps(facts, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path.name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
