"""A reader of plain token files that was written from FORMAT.md alone: it shares no code with the package.

It is as simple as it can be: the whole file in memory, one code at a time. What it refuses raises ValueError.
"""

from __future__ import annotations

from typing import Any


def crc_32c(data: bytes) -> int:
    """CRC-32C: reflected polynomial 0x82F63B78, all ones at the start, inverted at the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Bytes:
    """A file and a place in it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.record = data, 0, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("the file ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def u(self, bits: int) -> int:
        return int.from_bytes(self.take(bits // 8), "little")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.u(8)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                if byte == 0 and shift > 7:
                    raise ValueError("a varint is longer than needed")
                return value

    def text(self) -> str:
        return self.take(self.varint()).decode("utf-8")

    def begin(self) -> None:
        self.record = self.at

    def check_crc(self) -> None:
        expected = crc_32c(self.data[self.record : self.at])
        if self.u(32) != expected:
            raise ValueError("a checksum is wrong")


def read(data: bytes) -> dict[str, Any]:
    """The recording that a file holds, as the plain values of `golden_files.neutral`."""
    file = Bytes(data)
    header = read_header(file)
    codes: list[list[list[int]]] = [[[] for _ in header["codebook_sizes"]] for _ in range(header["channels"])]
    frames, starts = 0, []
    n_samples, index_bytes = header["n_samples"], 0
    closed = False
    while file.at < len(data):
        marker = data[file.at : file.at + 2]
        file.begin()
        if marker == b"\xd3\x9c":
            starts.append(file.at)
            frames += read_page(file, header, len(starts) - 1, codes)
        elif marker == b"\xb1\x65":
            index_bytes = read_index(file, starts)
        elif marker == b"\xe8\xa7":
            n_samples = read_end(file, header, frames, index_bytes)
            closed = True
            break
        else:
            raise ValueError("no record starts here")
    if closed and file.at != len(data):
        raise ValueError("something follows the end")
    if not closed and header["n_samples"] is not None:
        raise ValueError("the file is cut off")
    kept = ("sample_rate", "frame_rate", "skip", "model", "weights_hash", "metadata", "codebook_sizes")
    return {**{name: header[name] for name in kept}, "n_samples": n_samples, "codes": codes}


def read_header(file: Bytes) -> dict[str, Any]:
    file.begin()
    if file.take(4) != bytes.fromhex("89636463"):
        raise ValueError("no token file")
    if file.u(8) != 1:
        raise ValueError("another version")
    length = file.varint()
    if length > 131072:
        raise ValueError("the header is too long")
    start = file.at
    flags, coding, codebooks = file.u(8), file.u(8), file.u(8)
    if not 1 <= codebooks <= 64:
        raise ValueError("too many codebooks, or none")
    if coding >> 4:
        raise ValueError("this reader knows no entropy coding")
    style = flags >> 6
    if style == 0:
        sizes = [2 ** ((coding & 15) + 1)] * codebooks
    elif style == 1:
        sizes = [file.varint()] * codebooks
    elif style == 2:
        sizes = [file.varint() for _ in range(codebooks)]
    else:
        raise ValueError("an unknown style of sizes")
    header: dict[str, Any] = {
        "channels": (flags & 7) + 1,
        "codebook_sizes": sizes,
        "sample_rate": file.varint(),
        "frame_rate": [file.varint(), file.varint()],
        "page_frames": file.varint(),
    }
    samples = file.varint()
    header["n_samples"] = samples - 1 if samples else None
    header["model"] = file.text()
    header["weights_hash"] = file.take(8).hex() if flags & 8 else ""
    header["skip"] = file.varint() if flags & 16 else 0
    header["metadata"] = {}
    if flags & 32:
        for _ in range(file.varint()):
            key = file.text()
            header["metadata"][key] = file.text()
    if file.at != start + length:
        raise ValueError("the header's length is wrong")
    file.check_crc()
    return header


def read_page(file: Bytes, header: dict[str, Any], number: int, codes: list[list[list[int]]]) -> int:
    """Appends the codes of a page; returns its frames."""
    file.take(2)
    if file.varint() != number:
        raise ValueError("a page is missing")
    coded = file.varint()
    frames, listed = coded >> 1, coded & 1
    if not 1 <= frames <= header["page_frames"]:
        raise ValueError("a page of an impossible length")
    sizes, channels = header["codebook_sizes"], header["channels"]
    lengths = [file.varint() for _ in sizes] if listed else [file.varint()] * len(sizes)
    for codebook, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        bits = (size - 1).bit_length()
        if length != (bits * channels * frames + 7) // 8:
            raise ValueError("a layer of a wrong length")
        # The lowest bit of the first byte is the lowest bit of the first code.
        layer = int.from_bytes(file.take(length), "little")
        for channel in range(channels):
            for _ in range(frames):
                codes[channel][codebook].append(layer & ((1 << bits) - 1))
                layer >>= bits
        if max(codes[channel][codebook][-1] for channel in range(channels)) >= size:
            raise ValueError("a code outside of its codebook")
    file.check_crc()
    return frames


def read_index(file: Bytes, starts: list[int]) -> int:
    """Checks the index against where the pages were; returns its bytes."""
    begin = file.at
    file.take(2)
    at = starts[0]
    for start in starts:
        if start != at:
            raise ValueError("the index is wrong")
        at += file.varint()
    if at != begin or not 17 <= len(starts) <= 2**20:
        raise ValueError("the index is wrong")
    file.check_crc()
    return file.at - begin


def read_end(file: Bytes, header: dict[str, Any], frames: int, index_bytes: int) -> int | None:
    """Checks the end record; returns the number of samples."""
    begin = file.at
    file.take(2)
    if file.varint() != frames:
        raise ValueError("pages are missing")
    n_samples = header["n_samples"]
    if n_samples is None:
        samples = file.u(48)
        n_samples = samples - 1 if samples else None
    pages = -(-frames // header["page_frames"])
    if pages > 16 and file.varint() != index_bytes:
        raise ValueError("the end record does not match the index")
    length = file.at - begin
    if file.u(8) != length:
        raise ValueError("the end record has a wrong length")
    file.check_crc()
    return n_samples
