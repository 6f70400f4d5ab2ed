"""The section `model.codec` of recipes: files and options of one command, merged into one configuration.

It has the form of the JSON beside a model's weights: parts that come in several kinds say in `kind` which
one it is. Later files and options change the keys that they name; naming another `kind` drops the keys of the
old one. jsonargparse, which reads the rest of a recipe, would keep some of them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from codec.errors import ConfigError
from codec.models.config import CodecConfig, from_plain

_KEY = "model.codec"


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as in version 1.2 and everywhere else in recipes."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


class CodecSection:
    """A codec's configuration as a value that jsonargparse passes on without looking into it."""

    def __init__(self, config: CodecConfig) -> None:
        self.config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodecSection) and other.config == self.config

    def __hash__(self) -> int:
        return hash(self.config)

    def plain(self) -> dict[str, Any]:
        """The section as plain values, as YAML and JSON have them."""
        return json.loads(json.dumps(dataclasses.asdict(self.config)))

    @classmethod
    def of(cls, value: dict[str, Any] | str) -> CodecSection:
        """From plain values or their JSON; raises ValueError, as jsonargparse expects of a type."""
        try:
            return cls(from_plain(json.loads(value) if isinstance(value, str) else value, _KEY))
        except ConfigError as error:
            raise ValueError(str(error)) from error


def gather(arguments: Sequence[str]) -> list[str]:
    """The arguments of a training with everything that they say of model.codec in one of them.

    Args:
        arguments: `--config FILE` and options by their paths, of which later ones win.

    Returns:
        The same, where configurations without their `model.codec` stand in the place of files that have one,
        and `--model.codec JSON` at the end.

    Raises:
        ConfigError: a file or value that is not YAML, or an unknown key or wrong value of model.codec.
    """
    codec: dict[str, Any] = {}
    left: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option == "--config" or option == f"--{_KEY}" or option.startswith(f"--{_KEY}."):
            value = value if equals else next(words, "")
        else:
            left.append(word)
            continue
        if option == "--config":
            part, rest = _split(value)
            left += [f"--config={rest}"]
        else:
            part = _parse(value, option)
            for key in reversed(option.removeprefix(f"--{_KEY}").split(".")[1:]):
                part = {key: part}
        codec = _merge(codec, part)
    if not codec:
        return left
    return [*left, f"--{_KEY}={json.dumps(CodecSection(from_plain(codec, _KEY)).plain())}"]


def _split(path: str) -> tuple[dict[str, Any], str]:
    """What a file says of model.codec, and the file, or its text without that."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The recipe {path} cannot be read: {error}.") from error
    whole = _parse(text, path)
    model = whole.get("model") if isinstance(whole, dict) else None
    codec = model.pop("codec", None) if isinstance(model, dict) else None
    if codec is None:
        return {}, path
    if not isinstance(codec, dict):
        raise ConfigError(f"{_KEY} in {path} must have keys, unlike {codec!r}.")
    if not model:
        del whole["model"]
    return codec, yaml.safe_dump(whole, sort_keys=False)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    changed = old.get("kind", new.get("kind")) != new.get("kind", old.get("kind"))
    merged = {} if changed else dict(old)
    for key, value in new.items():
        before = merged.get(key)
        nested = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merge(before, value) if nested else value  # type: ignore[arg-type]
    return merged
