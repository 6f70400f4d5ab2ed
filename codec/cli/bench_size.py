"""`codec bench size`: token files packed plainly, entropy coded, and by general compressors, side by side."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codec.cli import paths
from codec.cli.report import report
from codec.errors import CodecError, ConfigError

if TYPE_CHECKING:
    from codec.tokens import Tokens


@dataclass(frozen=True)
class _Method:
    """A way to pack tokens into bytes, and to get them back."""

    name: str
    pack: Callable[[Tokens], bytes]
    unpack: Callable[[bytes], object]


def size(
    inputs: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Token files, folders of them, or patterns.")
    ],
    kbps: Annotated[
        str | None, typer.Option(metavar="K,K,...", help="Bitrates; default: that of the files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Compare sizes and times: plain packing, entropy coding, and gzip, xz and zstd of the codes.

    The compressors get the codes as 16-bit numbers, codebook after codebook. Bits per code count all bytes,
    of the token files also headers and checksums. Times are of one core's work, x real time.
    """
    from codec.tokenfile import read

    found, failed, tokens = paths.find(inputs, {".cdc"}), False, []
    for item in found:
        try:
            if item.error is not None:
                raise item.error
            tokens.append(read(item.path))
        except CodecError as error:
            failed = True
            report(error, item.path)
    if not tokens:
        raise ConfigError("there are no token files to measure")
    rates: list[float | None] = [None] if kbps is None else [_rate(text) for text in kbps.split(",")]
    for number, rate in enumerate(rates):
        chosen = [item if rate is None else item.at(kbps=rate) for item in tokens]
        rows = [_measure(method, chosen) for method in _methods()]
        if as_json:
            for row in rows:
                print(json.dumps(row))
        else:
            print("\n" * (number > 0) + _table(rows, chosen))
    if failed:
        raise typer.Exit(1)


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of kbps", param_hint="--kbps") from None


def _methods() -> list[_Method]:
    from codec.tokenfile import read, write

    def token_file(entropy: bool) -> Callable[[Tokens], bytes]:
        def pack(tokens: Tokens) -> bytes:
            file = io.BytesIO()
            write(file, tokens, entropy=entropy)
            return file.getvalue()

        return pack

    def unpack(data: bytes) -> object:
        return read(io.BytesIO(data))

    methods = [
        _Method("cdc, plain packing", token_file(False), unpack),
        _Method("cdc, entropy coded", token_file(True), unpack),
        _Method("gzip -9", lambda tokens: gzip.compress(_numbers(tokens), 9, mtime=0), gzip.decompress),
        _Method("xz -9e", lambda tokens: lzma.compress(_numbers(tokens), preset=_XZ), lzma.decompress),
    ]
    try:
        import zstandard
    except ImportError:
        report("zstd is left out: pip install zstandard brings it.")
        return methods
    return [
        *methods,
        _Method(
            "zstd -19",
            lambda tokens: zstandard.ZstdCompressor(level=19).compress(_numbers(tokens)),
            lambda data: zstandard.ZstdDecompressor().decompress(data),
        ),
    ]


_XZ = 9 | lzma.PRESET_EXTREME


def _numbers(tokens: Tokens) -> bytes:
    return tokens.codes.transpose(1, 0, 2).astype("<u2").tobytes()


def _measure(method: _Method, tokens: Sequence[Tokens]) -> dict[str, Any]:
    method.unpack(method.pack(tokens[0]))  # what is loaded once does not count
    begin = time.process_time()
    packed = [method.pack(item) for item in tokens]
    middle = time.process_time()
    for data in packed:
        method.unpack(data)
    end = time.process_time()
    seconds = sum(item.duration * item.channels for item in tokens)
    total = sum(map(len, packed))
    return {
        "method": method.name,
        "kbps": tokens[0].kbps,
        "files": len(tokens),
        "seconds": seconds,
        "bytes": total,
        "bits_per_code": 8 * total / max(1, sum(item.codes.size for item in tokens)),
        "pack_x_real_time": seconds / max(middle - begin, 1e-9),
        "unpack_x_real_time": seconds / max(end - middle, 1e-9),
    }


def _table(rows: Sequence[dict[str, Any]], tokens: Sequence[Tokens]) -> str:
    plain = rows[0]["bytes"]
    lines = [
        f"{tokens[0].kbps:g} kbps, {rows[0]['files']} file(s), {rows[0]['seconds']:.0f} s",
        f"  {'':<20}{'bytes':>12}{'of plain':>10}{'bits/code':>11}{'pack':>10}{'unpack':>10}",
    ]
    for row in rows:
        lines.append(
            f"  {row['method']:<20}{row['bytes']:>12,}{row['bytes'] / plain:>10.1%}"
            f"{row['bits_per_code']:>11.2f}{row['pack_x_real_time']:>9,.0f}x{row['unpack_x_real_time']:>9,.0f}x"
        )
    return "\n".join(lines)
