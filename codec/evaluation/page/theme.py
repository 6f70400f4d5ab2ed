"""The colours of the page and its plots: one light and one dark set; text has a contrast of 4.5 to 1."""

from __future__ import annotations

_LIGHT = {
    "ground": "#f4f5f7",
    "surface": "#ffffff",
    "raised": "#eef1f5",
    "ink": "#171c24",
    "soft": "#4b5563",
    "faint": "#7b8696",
    "rule": "#dde2e9",
    "accent": "#1b57c4",
    "on-accent": "#ffffff",
    "good": "#0f6b4c",
    "bad": "#b3261e",
    "s0": "#1b57c4",
    "s1": "#b3440a",
    "s2": "#0f6b4c",
    "s3": "#94277c",
    "s4": "#735500",
    "s5": "#0b6b80",
    "s6": "#b3261e",
    "s7": "#525c6a",
}
_DARK = {
    "ground": "#0d1015",
    "surface": "#151a21",
    "raised": "#1f2630",
    "ink": "#edf1f6",
    "soft": "#aeb8c6",
    "faint": "#7e8a9a",
    "rule": "#2b333f",
    "accent": "#7fb0ff",
    "on-accent": "#0b1526",
    "good": "#5fd6a8",
    "bad": "#ff938b",
    "s0": "#7fb0ff",
    "s1": "#ffa066",
    "s2": "#5fd6a8",
    "s3": "#f093dc",
    "s4": "#e4c353",
    "s5": "#60d3e8",
    "s6": "#ff938b",
    "s7": "#b7c1cd",
}


def plot_colours() -> str:
    """CSS for a drawing of its own: it follows the reader's system."""
    return f":root{{{_set(_LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{_set(_DARK)}}}}}"


def page_colours() -> str:
    """CSS for the page: the system's colours unless the root element's data-theme says light or dark."""
    return (
        f":root{{color-scheme:light;{_set(_LIGHT)}}}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{_set(_DARK)}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{_set(_DARK)}}}"
    )


def _set(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())
