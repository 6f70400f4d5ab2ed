"""Seeds beside the golden files: token files that lie under right checksums, entropy coded ones, and tables.

    python -m tests.fuzz.make_corpus

writes them to folders of `corpus`, where they are kept: a seed that found something stays for good.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np

from codec import tokenfile
from codec.interop import dac_file, ecdc
from codec.tokenfile.checksum import sealed
from codec.tokenfile.ending import END_MARKER, End, end_bytes
from codec.tokenfile.header import header_bytes
from codec.tokenfile.pages import PAGE_MARKER, Page, page_bytes
from codec.tokenfile.varint import varint
from tests.fuzz.targets import HERE, Repeating
from tests.tokenfile.entropy.examples import TABLES, coded, coded_tokens
from tests.tokenfile.examples import file_of, some_tokens, streamed


def crafted() -> dict[str, bytes]:
    """Files by name."""
    wide = some_tokens(8, 64, 1)
    open_header = tokenfile.header_of(dataclasses.replace(wide, n_samples=None))
    huge = dataclasses.replace(
        tokenfile.header_of(some_tokens(8, 64, 0, sizes=(65536,) * 64), 65536), n_samples=(1 << 47) - 1
    )
    small = tokenfile.header_of(some_tokens(frames=9, n_samples=None), 3)
    body = bytes([0, 9, 4]) + varint(16000) + varint(50) + varint(1) + varint(256) + varint(1 << 60) + b"\0"
    last = page_bytes(
        Page((1 << 32) - 1, 1, tuple(bytes(n) for n in open_header.layer_bytes(1))), open_header
    )
    return {
        "a_page_far_away": header_bytes(open_header) + last,
        "an_end_far_away": streamed(some_tokens(frames=9), 3, close=False)
        + end_bytes(End(1 << 40, 1, 0), small),
        "a_huge_promise": header_bytes(huge),
        "2_to_the_60_samples": sealed(b"\x89cdc\x01" + varint(len(body)) + body),
        "only_page_markers": header_bytes(open_header) + PAGE_MARKER * 900,
        "only_end_markers": header_bytes(small) + END_MARKER * 900,
        "two_files_in_one": file_of(some_tokens(frames=5), 2) * 2,
        "nothing": b"",
    }


def entropy_coded() -> dict[str, bytes]:
    """Files by name."""
    return {
        "one_page": coded(coded_tokens(frames=60)),
        "many_pages_of_two_channels": coded(coded_tokens(channels=2, codebooks=3, frames=50), page_frames=9),
        "some_layers_packed": coded(coded_tokens(frames=40, surprise=0.6), page_frames=25),
        "an_open_stream": coded(coded_tokens(frames=33, n_samples=None), page_frames=12),
    }


def tables() -> dict[str, bytes]:
    """Files by name."""
    file = io.BytesIO()
    TABLES.save(file)
    return {"small": file.getvalue()}


def other_codecs() -> dict[str, dict[str, bytes]]:
    """Files by codec and name."""
    random = np.random.default_rng(0)

    def codes(*shape: int) -> np.ndarray:
        return random.integers(0, 1024, shape).astype(np.uint16)

    packed = {}
    for name, n_samples, by_model in (
        ("encodec_24khz", 6720, False),
        ("encodec_24khz", 3000, True),
        ("encodec_48khz", 48_000, False),
        ("encodec_48khz", 1, True),
    ):
        model, file = ecdc.MODELS[name], io.BytesIO()
        segments = tuple(
            ecdc.Segment(codes(2, frames), 0.5 if model.has_scale else None)
            for frames in model.frames(n_samples)
        )
        content = ecdc.EcdcFile(ecdc.EcdcHeader(model, n_samples, 2, by_model), segments)
        ecdc.write(file, content, Repeating())
        packed[f"{name}_{'coded' if by_model else 'packed'}"] = file.getvalue()
    saved = {}
    for name, part in (
        (
            "whole",
            dac_file.DacFile(codes(2, 3, 20), np.array([-20], np.float32), 10_240, 44_100, 20, 2, True),
        ),
        (
            "windows",
            dac_file.DacFile(codes(1, 2, 144), np.array([-9], np.float32), 50_000, 44_100, 72, 1, False),
        ),
    ):
        file = io.BytesIO()
        dac_file.write(file, part)
        saved[name] = file.getvalue()
    return {"ecdc": packed, "dac": saved}


def main() -> None:
    for kind, suffix, files in (
        ("tokenfile", "cdc", crafted()),
        ("coded", "cdc", entropy_coded()),
        ("tables", "npz", tables()),
        *((codec, codec, found) for codec, found in other_codecs().items()),
    ):
        folder = HERE / "corpus" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / f"{name}.{suffix}").write_bytes(data)


if __name__ == "__main__":
    main()
