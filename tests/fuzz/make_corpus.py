"""Crafted token files that lie under right checksums, as seeds beside the golden files.

    python -m tests.fuzz.make_corpus

writes them to `corpus/tokenfile`, where they are kept: a seed that found something stays for good.
"""

from __future__ import annotations

import dataclasses

from codec import tokenfile
from codec.tokenfile.checksum import sealed
from codec.tokenfile.ending import END_MARKER, End, end_bytes
from codec.tokenfile.header import header_bytes
from codec.tokenfile.pages import PAGE_MARKER, Page, page_bytes
from codec.tokenfile.varint import varint
from tests.fuzz.targets import HERE
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


def main() -> None:
    folder = HERE / "corpus" / "tokenfile"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in crafted().items():
        (folder / f"{name}.cdc").write_bytes(data)


if __name__ == "__main__":
    main()
