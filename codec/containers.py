"""What libsndfile does not tell about a file: is the end missing, is the length a guess.

libsndfile reads a RIFF, AIFF, Ogg or MP3 file that was cut short without complaint, and stops at its own
estimate of the length where an MP3 has no Xing/Info tag. Sources: EA IFF 85 (FORM), RFC 3533 (Ogg pages), the
Xing tag as LAME writes it, ID3v2.4.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

# Of the files that are taken for recordings where a folder is given.
AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for names in ("wav wave rf64 w64", "flac ogg oga opus mp3", "aif aiff aifc au snd caf")
    for name in names.split()
)
_OGG_MAX_PAGE = 27 + 255 + 255 * 255


@dataclass(frozen=True)
class Container:
    """`cut`: the file ends before its audio does; `length_known`: libsndfile's frame count can be trusted."""

    cut: bool = False
    length_known: bool = True


def examine(file: BinaryIO) -> Container:
    """Look at a seekable file, from its first bytes; leaves the position anywhere."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(10)
    if start[:4] in (b"RIFF", b"FORM"):
        stated = int.from_bytes(start[4:8], "little" if start[:4] == b"RIFF" else "big")
        return Container(cut=size - 8 < stated < 0x7FFFF000)  # larger: a streaming writer did not know
    if start[:4] == b"OggS":
        return Container(cut=_ogg_is_cut(file, size))
    if start[:3] == b"ID3" and len(start) == 10:
        tag_bytes = start[6] << 21 | start[7] << 14 | start[8] << 7 | start[9]
        return _examine_mp3(file, 10 + tag_bytes, size)
    if (
        len(start) >= 2 and start[0] == 0xFF and start[1] >= 0xE0 and start[1] & 0x06
    ):  # frame sync, layer I to III
        return _examine_mp3(file, 0, size)
    return Container()


def _ogg_is_cut(file: BinaryIO, size: int) -> bool:
    offset = max(0, size - _OGG_MAX_PAGE - 4)
    file.seek(offset)
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        return True
    segments = tail[page + 26] if page + 26 < len(tail) else 0
    lengths = tail[page + 27 : page + 27 + segments]
    end = page + 27 + segments + sum(lengths)
    begun = tail[end : end + 3]  # a next page of which only "Ogg" or less is there
    return end > len(tail) or len(lengths) < segments or (begun != b"" and b"OggS".startswith(begun))


def _examine_mp3(file: BinaryIO, first_frame: int, size: int) -> Container:
    file.seek(first_frame)
    frame = file.read(64)
    tag = max(frame.find(b"Xing"), frame.find(b"Info"))
    if tag < 0 or len(frame) < tag + 16:
        return Container(length_known=False)
    flags = int.from_bytes(frame[tag + 4 : tag + 8], "big")
    if not flags & 1:  # no count of frames
        return Container(length_known=False)
    stated = int.from_bytes(frame[tag + 12 : tag + 16], "big") if flags & 2 else 0
    return Container(cut=first_frame + stated > size)
