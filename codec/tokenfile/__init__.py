"""The .cdc token file: pages of bit-packed codes, trimmed and sought in without a model (see FORMAT.md)."""

from codec.tokenfile.header import Header, header_of
from codec.tokenfile.reader import PageReader, read, read_header
from codec.tokenfile.span import cut
from codec.tokenfile.trim import trim
from codec.tokenfile.writer import PageWriter, write

__all__ = ["Header", "PageReader", "PageWriter", "cut", "header_of", "read", "read_header", "trim", "write"]
