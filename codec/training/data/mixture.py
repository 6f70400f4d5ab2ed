"""Several corpora as one."""

from __future__ import annotations

import math

from codec.errors import ConfigError
from codec.training.data.augment import AugmentConfig
from codec.training.data.clips import Clip
from codec.training.data.module import AudioData
from codec.training.data.segments import MixedSegments, SegmentConfig, Segments


class Mixture(AudioData):
    """Segments of several sources, in given proportions, and the validation clips of all.

    Rate, channels and `segments` are the mixture's, whatever the sources say. A source's own `augment` holds
    for its segments where it is given, otherwise the mixture's does.

    Args:
        sources: other data modules.
        weights: shares of the segments, in any unit; null: each source alike.

    Raises:
        ConfigError: no source, or weights that are not one finite number >= 0 a source, one of them > 0.
    """

    def __init__(
        self,
        sources: list[AudioData],
        weights: list[float] | None = None,
        sample_rate: int = 16000,
        channels: int = 1,
        segments: SegmentConfig = SegmentConfig(),  # noqa: B008 (frozen)
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        valid_clips: int = 20,
    ) -> None:
        super().__init__(sample_rate, channels, segments, augment, valid_clips)
        if not sources:
            raise ConfigError("A mixture needs at least one source in data.sources.")
        self.sources = sources
        self.weights = [1.0] * len(sources) if weights is None else list(weights)
        usable = all(math.isfinite(weight) and weight >= 0 for weight in self.weights)
        if len(self.weights) != len(sources) or not usable or sum(self.weights) <= 0:
            raise ConfigError(
                f"data.weights is {self.weights} for {len(sources)} sources: give each a number, none below "
                f"0 and one above."
            )

    def prepare_data(self) -> None:
        """Fetches what the sources are to download."""
        for source in self.sources:
            source.prepare_data()

    def find(self) -> tuple[list[Clip], list[Clip]]:
        found = [source.clips for source in self.sources]
        return [clip for train, _ in found for clip in train], [clip for _, valid in found for clip in valid]

    def make_segments(self, count: int) -> MixedSegments:
        parts = [
            Segments(
                source.clips[0],
                self.segment_config,
                sample_rate=self.sample_rate,
                count=count,
                channels=self.channels,
                augment=self.augment if source.augment == AugmentConfig() else source.augment,
            )
            for source in self.sources
        ]
        return MixedSegments(parts, self.weights, self.segment_config.seed, count)
