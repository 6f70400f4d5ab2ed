"""Patterns as plain data, for configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codec.errors import ConfigError
from codec.sequence.blocks import BlockPattern
from codec.sequence.pattern import Pattern
from codec.sequence.steps import StepPattern
from codec.sequence.vocabulary import Vocabulary


def to_plain(pattern: Pattern) -> dict[str, Any]:
    """A pattern as JSON has it; `from_plain` makes an equal one of it."""
    vocabulary = pattern.vocabulary
    common = {"codebook_sizes": list(vocabulary.codebook_sizes), "shared": vocabulary.shared}
    if isinstance(pattern, BlockPattern):
        return {**common, "passes": [list(own) for own in pattern.passes], "frames": pattern.frames}
    if isinstance(pattern, StepPattern):
        return {**common, "delays": list(pattern.delays)}
    raise ConfigError(f"A {type(pattern).__name__} has no plain form.")


def from_plain(value: Mapping[str, Any]) -> Pattern:
    """The pattern of `to_plain`; raises ConfigError when the value is none."""
    try:
        vocabulary = Vocabulary(tuple(value["codebook_sizes"]), bool(value["shared"]))
        if "delays" in value:
            return StepPattern(vocabulary, tuple(value["delays"]))
        return BlockPattern(vocabulary, tuple(tuple(own) for own in value["passes"]), value["frames"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"This is no pattern of token ids: {error!r}.") from error
