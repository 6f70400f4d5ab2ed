"""What the user reads when something went wrong, or might have: one line each on stderr."""

from __future__ import annotations

import sys

from codec.errors import CodecError, ConfigError, chain


def report(error: CodecError | str, name: str = "") -> None:
    """Prints `codec: name: sentence`."""
    print(f"codec: {sentence(error, name)}", file=sys.stderr)


def sentence(error: CodecError | str, name: str = "") -> str:
    """`name: sentence`, on one line of printable characters, without saying the name twice."""
    text = str(error)
    if name:
        shown = "standard input" if name == "-" else name
        text = f"{shown}: {text.removeprefix(shown).lstrip(' :')}"
    return printable(text)


def printable(text: str) -> str:
    """The text with line breaks and other control characters (file names may hold any) as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def is_broken_pipe(error: BaseException) -> bool:
    """Whether an error arose because the reader of our output left."""
    return any(isinstance(cause, BrokenPipeError) for cause in chain(error))


def missing_extra(extra: str, error: ImportError) -> ConfigError:
    """What to say when an import failed because an optional part is not installed."""
    return ConfigError(f'{error.name or error} is not installed: pip install "codec[{extra}]" brings it.')
