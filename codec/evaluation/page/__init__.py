"""The listening page of an evaluation: `render` makes it; the plots can also be files of their own."""

from codec.evaluation.page.plots import rate_distortion_svg
from codec.evaluation.page.render import render

__all__ = ["rate_distortion_svg", "render"]
