"""What is fuzzed: functions of bytes that must take any, and the files that mutations start from.

A reader of another format is added as one more entry of TARGETS, and gets the mutation run, the atheris
entry and the test in CI with it.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import crc32c
import numpy as np

from codec import tokenfile
from codec.errors import ConfigError, TokenFileError
from codec.interop import dac_file, dac_tokens, ecdc, ecdc_tokens
from codec.tokenfile import Tables
from codec.tokenfile.checksum import sealed
from codec.tokens import Codes
from tests.tokenfile.entropy.examples import TABLES
from tests.tokenfile.examples import pipe

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "tokenfile" / "golden"


@dataclass(frozen=True)
class Target:
    """run: raises nothing but what it should, for any bytes. seeds: folders of valid and of crafted files.

    repair: makes checksums right again, so that mutations reach what is behind them.
    """

    run: Callable[[bytes], None]
    seeds: tuple[Path, ...]
    repair: Callable[[bytes], bytes]

    def corpus(self) -> list[bytes]:
        """All seed files, in a fixed order."""
        paths = (path for folder in self.seeds for path in sorted(folder.iterdir()) if path.suffix != ".json")
        return [path.read_bytes() for path in paths]


def read_token_file(data: bytes) -> None:
    """Every way into a token file without tables."""
    _read(data, None)


def read_coded_file(data: bytes) -> None:
    """Every way into a token file with the tables that the entropy coded seeds need."""
    _read(data, TABLES)


def read_tables(data: bytes) -> None:
    """A file of tables."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(data)
        file.flush()
        with suppress(ConfigError):
            tokenfile.load_tables(Path(file.name))


class Repeating:
    """A language model that expects the last frame again: cheap, and sure of itself."""

    def step(self, codes: Codes | None, codebooks: int, state: None) -> tuple[np.ndarray, None]:
        p = np.full((codebooks, 1024), 0.5 / 1024, np.float32)
        if codes is not None:
            p[np.arange(codebooks), codes] += 0.5
        return p, None


def read_ecdc(data: bytes) -> None:
    """An .ecdc file, packed or coded, and its tokens."""
    with suppress(TokenFileError):
        content = ecdc.read(io.BytesIO(data), Repeating())
        with suppress(ConfigError):  # too long for the metadata of tokens
            ecdc_tokens.from_tokens(ecdc_tokens.to_tokens(content), content.header.coded)


def read_dac(data: bytes) -> None:
    """A .dac file, and its tokens."""
    with suppress(TokenFileError):
        content = dac_file.read(io.BytesIO(data))
        with suppress(ConfigError):  # sizes of none of DAC's models
            dac_tokens.from_tokens(dac_tokens.to_tokens(content))


def _read(data: bytes, tables: Tables | None) -> None:
    for conceal in (False, True):
        with suppress(TokenFileError):
            tokenfile.read(io.BytesIO(data), conceal=conceal, tables=tables)
        # ConfigError: the stretch is not inside of what the file says it holds.
        with suppress(TokenFileError, ConfigError):
            tokenfile.read(io.BytesIO(data), start=0.05, end=0.2, conceal=conceal, tables=tables)
    with suppress(TokenFileError):
        tokenfile.read_header(io.BytesIO(data))
    with suppress(TokenFileError):
        for _ in tokenfile.PageReader(pipe(data, 64), conceal=True, tables=tables).packets():
            pass
    with suppress(TokenFileError):
        tokenfile.trim(io.BytesIO(data), io.BytesIO(), 1)
    with suppress(TokenFileError, ConfigError):
        tokenfile.cut_file(io.BytesIO(data), io.BytesIO(), 0.1, None)
    with suppress(TokenFileError, ConfigError):
        tokenfile.cat([io.BytesIO(data), io.BytesIO(data)], io.BytesIO(), tables=tables)


def repair_token_file(data: bytes) -> bytes:
    """The token file with checksums that are right wherever a record can be found by its length."""
    return _repaired_records(_repaired_header(data))


def _repaired_header(data: bytes) -> bytes:
    if len(data) < 8:
        return data
    length, at = data[5], 6
    if length & 0x80:
        length, at = length & 0x7F | data[6] << 7, 7
    end = at + length
    return sealed(data[:end]) + data[end + 4 :] if end + 4 <= len(data) else data


def _repaired_records(data: bytes) -> bytes:
    """Every stretch from one record's marker to the next one's gets a right checksum at its end."""
    markers = (b"\xd3\x9c", b"\xb1\x65", b"\xe8\xa7")
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] in markers]
    repaired = bytearray(data)
    for start, end in pairwise([*starts, len(data)]):
        if end - start > 6:
            repaired[end - 4 : end] = crc32c.crc32c(bytes(repaired[start : end - 4])).to_bytes(4, "little")
    return bytes(repaired)


TARGETS = {
    "tokenfile": Target(read_token_file, (GOLDEN, HERE / "corpus" / "tokenfile"), repair_token_file),
    "coded": Target(read_coded_file, (HERE / "corpus" / "coded",), repair_token_file),
    "ecdc": Target(read_ecdc, (HERE / "corpus" / "ecdc",), bytes),
    "dac": Target(read_dac, (HERE / "corpus" / "dac",), bytes),
    "tables": Target(read_tables, (HERE / "corpus" / "tables",), bytes),
}
