"""Which tables a token file needs, and where they are: beside the shipped weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from codec.errors import ConfigError, TokenFileError
from codec.tokenfile.entropy.tables import Tables, facts_of, load
from codec.tokenfile.header import Header

SUFFIX = ".entropy.npz"
SHIPPED = Path(__file__).parents[2] / "weights"


def tables_beside(weights: Path, weights_hash: str | None = None) -> Tables | None:
    """The tables beside a file of weights; None when there are none, or those of other weights than the hash.

    Raises ConfigError when they are damaged.
    """
    path = weights.with_suffix(SUFFIX)
    if not path.is_file():
        return None
    tables = _loaded(path, path.stat().st_mtime_ns)
    return tables if weights_hash in (None, tables.weights_hash) else None


def tables_of(model: str, weights_hash: str, folder: Path = SHIPPED) -> Tables | None:
    """The tables in a folder for a model's codes to be written with, None when there are none.

    Of several, those in the file that has the model's name: older ones stay only to read older files.
    """
    if not weights_hash:
        return None
    found = [path for path, facts in _all(folder) if facts.get("weights_hash") == weights_hash]
    found.sort(key=lambda path: (path.name != f"{model}{SUFFIX}", path.name))
    return _loaded(found[0], found[0].stat().st_mtime_ns) if found else None


def needed(header: Header, tables: Tables | None = None) -> Tables:
    """The tables that a header names: those given, or else shipped ones.

    Raises TokenFileError when they are not there, or are for other codes.
    """
    if tables is None or tables.id != header.tables:
        try:
            tables = _shipped(header.tables)
        except ConfigError:
            raise TokenFileError(
                f"the token file is entropy coded with tables {header.tables} of model {header.model or '?'} "
                f"({header.weights_hash or 'no hash'}), which are not here: they belong beside the model"
            ) from None
    if tables.weights_hash != header.weights_hash or tables.coded(header.codebook_sizes) is None:
        raise TokenFileError(
            f"the token file names entropy tables {header.tables}, which are for the codes of another model, "
            f"{tables.model} ({tables.weights_hash})"
        )
    return tables


def _all(folder: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield path, facts_of(path)
        except ConfigError:
            continue


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int) -> Tables:
    """The tables in a file, which was last written at `changed`: new ones are seen."""
    return load(path)


@lru_cache(maxsize=4)
def _shipped(tables_id: str) -> Tables:
    """The shipped tables of this id; raises ConfigError when there are none."""
    for path, facts in _all(SHIPPED):
        if facts.get("id") == tables_id:
            return load(path)
    raise ConfigError(f"there are no entropy tables {tables_id}")
