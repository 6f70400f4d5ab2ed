"""What latents and codes look like: distributions, and what codes tell of the sound."""

from codec.quantize.analysis.distribution import Reference, Tested, projected_test, sliced_distance
from codec.quantize.analysis.information import Shared, mutual_information

__all__ = [
    "Reference",
    "Shared",
    "Tested",
    "mutual_information",
    "projected_test",
    "sliced_distance",
]
