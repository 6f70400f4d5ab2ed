"""The parser of recipes, which answers a mistake with one line that names the closest right key."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser

from codec.models.config import CodecConfig
from codec.training.module import CodecTraining
from codec.training.recipe import CodecSection

_IN_GROUP = re.compile(r"Group '([^']+)' does not accept option '([^']+)'")
_IN_CLASS = re.compile(r"Problem with given class_path '([^']+)':\s+Option '([^']+)' is not accepted")
_AT_TOP = re.compile(r"Option '([^']+)' is not accepted")
_ON_COMMAND_LINE = re.compile(r"unrecognized arguments: (?:--)?([^\s=]+)")
_NO_CLASS = re.compile(r"module '([^']+)' has no attribute '([^']+)'")
_VALUE = re.compile(r'Parser key "([^"]+)":\s+(Expected [^\n]+)')
_PLACE = re.compile(r'Parser key "([^"]+)":\s+(.*)')
# What the parser repeats of its input, which may be pages.
_NOISE = ("Does not validate", "Subtypes:", "Errors:", "Given value", "- Expected a <class 'NoneType'>")


register_type(CodecSection, serializer=CodecSection.plain, deserializer=CodecSection.of)


class RecipeParser(LightningArgumentParser):
    """Lightning's parser with short errors and exit code 2, which leaves model.codec to `training.recipe`."""

    def add_lightning_class_args(
        self, lightning_class: Any, nested_key: str, subclass_mode: bool = False, required: bool = True
    ) -> list[str]:
        if lightning_class is not CodecTraining:
            return super().add_lightning_class_args(lightning_class, nested_key, subclass_mode, required)
        added = self.add_class_arguments(lightning_class, nested_key, skip={"codec"})
        self.add_argument(
            f"--{nested_key}.codec",
            type=CodecSection,
            default=CodecSection(CodecConfig()),
            help="the codec itself, in the form of a model's JSON; its keys are options too, by their paths",
        )
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            # One of several types is being tried; another one may fit.
            super().error(message, ex)
        print(f"codec: {self._explain(str(message))}", file=sys.stderr)
        sys.exit(2)

    def keys(self) -> set[str]:
        """Every key of a recipe by its full path, those inside of chosen classes not included."""
        found = {action.dest for action in self._actions}
        for action in self._actions:
            # The parser of the command line holds one of the recipe for each subcommand.
            if isinstance(action.choices, dict) and action.dest == "subcommand":
                for parser in action.choices.values():
                    if isinstance(parser, RecipeParser):
                        found |= parser.keys()
        return {key for key in found if key.rpartition(".")[2] not in ("help", "subcommand")}

    def _explain(self, message: str) -> str:
        if match := _IN_CLASS.search(message):
            return unknown_key(match[2], class_keys(match[1]), match[1].rpartition(".")[2])
        if match := _IN_GROUP.search(message):
            inside = f"{match[1]}."
            known = {key.removeprefix(inside) for key in self.keys() if key.startswith(inside)}
            return unknown_key(match[2], known, match[1])
        if match := _AT_TOP.search(message) or _ON_COMMAND_LINE.search(message):
            return unknown_key(match[1], self.keys(), "a recipe")
        if match := _NO_CLASS.search(message):
            similar = difflib.get_close_matches(match[2], vars(import_module(match[1])), 1)
            return f"there is no {match[1]}.{match[2]}" + (
                f": did you mean {similar[0]}?" if similar else "."
            )
        values = [match for match in _VALUE.findall(message) if match[0].rpartition(".")[2] != "kind"]
        if values:
            return f"{values[0][0]}: " + re.sub(r"<class '([^']+)'>", r"\1", values[0][1])
        place = _PLACE.search(message)
        lines = [line.strip() for line in message.splitlines()]
        lines = [line for line in lines if line and not line.startswith((*_NOISE, "Parser key"))]
        text = " ".join(lines[:3]).removeprefix("- ") or message
        return f"{place[1]}: {text}" if place else text


def class_keys(class_path: str) -> set[str]:
    """The keys of `init_args` of a class, by their paths."""
    module, _, name = class_path.rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(import_module(module), name))
    return {action.dest for action in parser._actions} - {"help"}


def unknown_key(wrong: str, known: Iterable[str], where: str) -> str:
    """A sentence that says which key is unknown, and which one was perhaps meant.

    Args:
        wrong: path of the key, e.g. "codec.hop_lenght".
        known: paths of the keys that there are.
        where: what they are the keys of.
    """
    known = sorted(known)
    parents, _, leaf = wrong.rpartition(".")
    first = wrong.partition(".")[0]
    tops = {key.partition(".")[0] for key in known}
    if parents and first not in tops:
        return unknown_key(first, tops, where)
    # First the same name at another place, then a similar name at the same place, then a similar path.
    moved = [key for key in known if key.rpartition(".")[2] == leaf]
    beside = [key for key in known if key.rpartition(".")[0] == parents]
    similar = difflib.get_close_matches(wrong, beside, 1, 0.5) or difflib.get_close_matches(wrong, known, 1)
    meant = moved if len(moved) == 1 else similar
    hint = f": did you mean {meant[0]!r}?" if meant else "; --print_config shows all keys."
    return f"{wrong!r} is not a key of {where}{hint}"
