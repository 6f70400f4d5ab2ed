"""Text for HTML, SVG and JSON: file names may hold anything, and none of it may become markup or code."""

from __future__ import annotations

import html
import json
import math
import unicodedata
from typing import Any

NONE = "\N{EN DASH}"  # where a table has no number


def clean(text: str) -> str:
    """The text with a replacement character for each that UTF-8, HTML or XML does not allow."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def escape(text: str) -> str:
    """Text for HTML and SVG content, and for attributes in double quotes."""
    return html.escape(clean(text), quote=True)


def script_json(value: Any) -> str:
    """JSON for a script element: nothing in it can end the element or start a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def figure(value: float, digits: int) -> str:
    """A number with `digits` after the point and a real minus; a dash for NaN and infinity."""
    if not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else f"{0:.{digits}f}"


def seconds(value: float) -> str:
    """A duration that a person reads: `5.6 s`, `3 min 12 s`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"
