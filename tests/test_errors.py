"""Errors and what led to them."""

from __future__ import annotations

from codec.errors import ConfigError, chain


def test_a_chain_holds_causes_and_contexts_once_even_in_a_circle() -> None:
    first, second, third = ConfigError("first"), ValueError("second"), TypeError("third")
    third.__cause__ = second
    second.__context__ = first
    first.__context__ = third
    assert list(chain(third)) == [third, second, first]
