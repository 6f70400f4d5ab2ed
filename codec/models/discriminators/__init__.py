"""Discriminators: networks that tell decoded audio from recordings, each in several scales."""

from codec.models.discriminators.band import BandConfig, BandDiscriminator, MultiBandDiscriminator
from codec.models.discriminators.base import ScaleOutput
from codec.models.discriminators.period import MultiPeriodDiscriminator, PeriodConfig, PeriodDiscriminator
from codec.models.discriminators.stft import (
    DiscriminatorConfig,
    MultiScaleStftDiscriminator,
    StftDiscriminator,
)

__all__ = [
    "BandConfig",
    "BandDiscriminator",
    "DiscriminatorConfig",
    "MultiBandDiscriminator",
    "MultiPeriodDiscriminator",
    "MultiScaleStftDiscriminator",
    "PeriodConfig",
    "PeriodDiscriminator",
    "ScaleOutput",
    "StftDiscriminator",
]
