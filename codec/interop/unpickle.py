"""What a pickle of plain values and numpy arrays says, without unpickling.

`pickle` runs whatever a file names. Here the instructions are read one by one, those that build plain values
are carried out, and the few names that numpy's own pickles hold stand for the arrays that they describe:
nothing that a file names is ever looked up or called, and nothing larger than the file is allocated.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec.errors import TokenFileError

_MODULES = r"numpy\.(?:_?core\.(?:multiarray|numeric)\.)?"
_NAMES = re.compile(_MODULES + r"(_reconstruct|_frombuffer|scalar|ndarray|dtype)")
_TYPES = re.compile(r"[<>|=]?([biufO])([1248])")
_MAX_DIMENSIONS = 8
# A list may hold another one twice, and that one a third: what a short pickle describes can be endless.
_MAX_VALUES = 10_000
_MAX_DEPTH = 32
_MARK = object()

_VALUES = re.compile(
    "BININT[12]?|INT|LONG[14]?|BINFLOAT|FLOAT|(SHORT_)?BINUNICODE|BINUNICODE8|UNICODE|"
    "(SHORT_)?BINBYTES|BINBYTES8|BYTEARRAY8"
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Refused(Exception):
    """This is no pickle of plain values and arrays."""


@dataclass
class _Name:
    name: str


@dataclass
class _Type:
    """A numpy type, of which `code` leaves the byte order open."""

    code: str
    order: str = "="


@dataclass
class _Array:
    """An array whose content, once it is there, replaces it."""

    value: Any = None


def read_pickle(data: bytes) -> Any:
    """The value that data describes: None, numbers, text, bytes, lists, tuples, dicts and numpy arrays.

    Arrays are of booleans, integers or floats, or a single object, which is then returned in its place.

    Raises:
        TokenFileError: it is damaged, or describes anything else; nothing was run.
    """
    try:
        return _Plain().of(_Machine().run(data), 0)
    except _Refused as error:
        raise TokenFileError(f"the pickle in the file is refused: {error}; nothing of it was run") from None
    # A damaged one: opcodes that lack their argument, or the values that they take from the stack.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise TokenFileError("the pickle in the file is damaged") from None


class _Machine:
    """The stack machine that a pickle is a program of (`pickletools` describes it)."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise _Refused("it has no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if _VALUES.fullmatch(name):
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._to_mark()
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._pop(2) if name == "SETITEM" else self._to_mark()
            self._top(dict).update(zip(map(_text, items[::2]), items[1::2], strict=True))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "GLOBAL":
            stack.append(_named(argument.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            module, attribute = self._pop(2)
            stack.append(_named(f"{_text(module)}.{_text(attribute)}"))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            stack.append(_made(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            _set(stack[-1], state)
        elif name not in ("PROTO", "FRAME"):
            raise _Refused(f"it has the instruction {name}")

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise _Refused("it takes more than there is")
        taken = self._stack[-count:]
        del self._stack[-count:]
        return taken

    def _to_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:  # an IndexError if there is none
            at -= 1
            if at < 0:
                raise _Refused("it takes more than there is")
        taken = self._stack[at + 1 :]
        del self._stack[at:]
        return taken

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise _Refused("it puts items into what takes none")
        return self._stack[-1]


def _named(name: str) -> _Name:
    found = _NAMES.fullmatch(name)
    if found is None:
        raise _Refused(f"it names {name[:60]!r}, and only plain values and numpy arrays are read")
    return _Name(found[1])


def _made(function: Any, arguments: Any) -> Any:
    """What a call of one of numpy's names stands for."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _Refused("it calls what is no name")
    match function.name:
        case "_reconstruct":
            return _Array()
        case "dtype":
            return _Type(_text(arguments[0]))
        case "scalar":
            kind, raw = arguments
            return _Array(_array(kind, (), raw, "C"))
        case "_frombuffer":
            raw, kind, shape, order = arguments
            return _Array(_array(kind, shape, raw, order))
        case _:
            raise _Refused(f"it calls {function.name}")


def _set(target: Any, state: Any) -> None:
    """Gives a type its byte order, or an array its content."""
    if isinstance(target, _Type):
        target.order = _text(state[1])
        if target.order not in ("<", ">", "|", "="):
            raise _Refused("it has an unknown byte order")
    elif isinstance(target, _Array):
        _, shape, kind, fortran, raw = state
        target.value = _array(kind, shape, raw, "F" if fortran else "C")
    else:
        raise _Refused("it sets the state of what has none")


def _array(kind: Any, shape: Any, raw: Any, order: str) -> Any:
    """An array, all of whose elements are in raw; of the type "object" the one that raw holds."""
    found = _TYPES.fullmatch(kind.code) if isinstance(kind, _Type) else None
    if found is None or not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS:
        raise _Refused("it holds an array of an unknown kind")
    if found[1] == "O":
        if shape != () or not isinstance(raw, list) or len(raw) != 1:
            raise _Refused("it holds an array of several objects")
        return raw[0]
    if not isinstance(raw, bytes | bytearray) or any(type(size) is not int or size < 0 for size in shape):
        raise _Refused("it holds an array without its content")
    if math.prod(shape) * int(found[2]) != len(raw):
        raise _Refused("it holds an array that is shorter or longer than it says")
    dtype = np.dtype(("" if kind.order == "|" else kind.order) + found[0].lstrip("<>|="))
    array = np.frombuffer(bytes(raw), dtype).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(dtype.newbyteorder("="))


class _Plain:
    """Values with arrays in the place of what describes them."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise _Refused("it is nested too deeply")
        if isinstance(value, _Array):
            return self.of(value.value, depth + 1)
        if isinstance(value, _Name | _Type) or value is _MARK:
            raise _Refused("it holds more than values")
        if isinstance(value, dict):
            return {key: self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.of(item, depth + 1) for item in value)
        return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Refused("it has a value in the place of a name")
    return value
