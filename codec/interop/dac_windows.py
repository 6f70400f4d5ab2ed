"""How long recordings are coded by DAC: in windows that overlap, by convolutions without padding.

Without padding a convolution gives only what it has all input for. So a window makes fewer frames than it has
samples for, and these fewer samples than they stand for; the next window begins where they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_DILATIONS = (1, 3, 9)
_KERNEL = 7  # of the first and last convolutions and of residual units


@dataclass(frozen=True)
class DacModel:
    """One of DAC's published models.

    sample_rate: in Hz. rates: strides of the encoder, and reversed of the decoder. codebooks: at most.
    """

    name: str
    sample_rate: int
    rates: tuple[int, ...]
    codebooks: int

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        hop = 1
        for rate in self.rates:
            hop *= rate
        return hop

    def window_frames(self, n_samples: int) -> int:
        """Frames of codes that a window makes, without padding."""
        length = n_samples - _KERNEL + 1
        for rate in self.rates:
            length = (length - _shrink() - 2 * rate) // rate + 1
        return length - 2

    def window_samples(self, frames: int) -> int:
        """Samples that a window's frames make, without padding."""
        length = frames - _KERNEL + 1
        for rate in reversed(self.rates):
            length = (length - 1) * rate + 2 * rate - _shrink()
        return length - _KERNEL + 1

    def padded_samples(self, frames: int) -> int:
        """Samples that frames make with padding: an odd stride s pads by more than s / 2, and loses one."""
        length = frames
        for rate in reversed(self.rates):
            length = length * rate - rate % 2
        return length

    def window_of(self, frames: int) -> int | None:
        """The samples, a multiple of the hop length, of a window that makes so many frames."""
        for whole in range(frames, frames + 200):
            if self.window_frames(whole * self.hop_length) == frames:
                return whole * self.hop_length
        return None


MODELS = (
    DacModel("dac_44khz", 44_100, (2, 4, 8, 8), 9),
    DacModel("dac_24khz", 24_000, (2, 4, 5, 8), 32),
    DacModel("dac_16khz", 16_000, (2, 4, 5, 8), 12),
    DacModel("dac_44khz", 44_100, (2, 4, 8, 8), 18),
)


def model_of(
    *, codebooks: int, frames: int, chunk_length: int, padding: bool, seconds: float
) -> DacModel | None:
    """The model whose files have these sizes, if any; of several the one with as many codebooks."""
    fitting = [
        model
        for model in MODELS
        if codebooks <= model.codebooks
        and _fits(model, frames, chunk_length, padding, seconds * model.sample_rate)
    ]
    return min(fitting, key=lambda model: model.codebooks != codebooks, default=None)


def _fits(model: DacModel, frames: int, chunk_length: int, padding: bool, n_samples: float) -> bool:
    if padding:
        made, wanted = frames, n_samples / model.hop_length
    else:
        step = model.window_samples(chunk_length)
        if frames % chunk_length or step < 1 or model.window_of(chunk_length) is None:
            return False
        made, wanted = frames // chunk_length, n_samples / step
    # Resampling makes the length uncertain by a sample or two.
    return wanted - 0.01 <= made <= wanted + 1.01


def _shrink(dilations: Sequence[int] = _DILATIONS) -> int:
    """Steps that the residual units of a rate take."""
    return (_KERNEL - 1) * sum(dilations)
