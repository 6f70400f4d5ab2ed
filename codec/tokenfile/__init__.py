"""The .cdc token file: pages of codes, trimmed, cut, joined and sought in without a model (FORMAT.md)."""

from codec.tokenfile.cat import cat
from codec.tokenfile.cutting import cut_file
from codec.tokenfile.entropy.find import tables_beside, tables_of
from codec.tokenfile.entropy.tables import Tables
from codec.tokenfile.entropy.tables import load as load_tables
from codec.tokenfile.header import Header, header_of
from codec.tokenfile.reader import PageReader, read, read_header
from codec.tokenfile.span import cut
from codec.tokenfile.trim import trim
from codec.tokenfile.writer import PageWriter, write

__all__ = [
    "Header",
    "PageReader",
    "PageWriter",
    "Tables",
    "cat",
    "cut",
    "cut_file",
    "header_of",
    "load_tables",
    "read",
    "read_header",
    "tables_beside",
    "tables_of",
    "trim",
    "write",
]
