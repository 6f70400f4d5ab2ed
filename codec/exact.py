"""Codes that do not depend on how they were computed: a fast float32 search, and a float64 recheck where it is close.

Matrix products of different shapes, thread counts or machines round differently, and a latent that lies almost on the
border between two codes may fall on either side. Here a frame that is closer to a border than rounding can move it is
computed again in float64, from the stretch of audio that it depends on, and decided there. The codes are then those
of float64 arithmetic everywhere: for a stream cut in any way, for a batch, for one thread or many.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from codec.models.network import CodecNetwork
from codec.nn import State

# Largest error of a float32 latent, relative to its norm (or, if larger, to a typical latent's): 8 times the largest
# seen over 200,000 frames of speech, music, silence and noise.
_ROUNDING = 3e-5


@dataclass(frozen=True)
class EncoderState:
    """Where a stream stands.

    layers: state of the encoder's layers, or None at the start.
    past: the audio `[batch, 1, samples]` that coming frames still depend on; from the stream's start if shorter.
    frames: frames so far. rechecked: how many of them (summed over the batch) were decided in float64.
    """

    layers: State = None
    past: torch.Tensor | None = None
    frames: int = 0
    rechecked: int = 0


class ExactEncoder:
    """The encoder and quantizer of a network as a function of audio and an explicit state.

    A network without a finite receptive field (recurrent layers) is computed in float64 altogether.
    """

    def __init__(self, network: CodecNetwork) -> None:
        self._network = network
        self._hop = network.config.hop_length
        history = network.encoder.history
        # In whole frames, so that a window always starts on a frame border.
        self._history = None if history is None else -(-history // self._hop) * self._hop
        # float64 copies, on the CPU where the device has no float64.
        place = "cpu" if network.device.type == "mps" else network.device
        self._encoder64 = copy.deepcopy(network.encoder).to(place, torch.float64)
        self._quantizer64 = copy.deepcopy(network.quantizer).to(place, torch.float64)
        self._place = torch.device(place)
        self._typical = float(network.quantizer.typical_norm())

    @torch.inference_mode()
    def step(
        self, audio: torch.Tensor, state: EncoderState, n_codebooks: int, valid: list[int] | None = None
    ) -> tuple[torch.Tensor, EncoderState]:
        """Codes of the next stretch of audio.

        Args:
            audio: `[batch, 1, frames * hop_length]` at the model's rate.
            state: what the previous call returned, or `EncoderState()`.
            n_codebooks: codebooks to search.
            valid: frames of each row that matter (a padded batch's rest is not rechecked); all if not given.

        Returns:
            Codes `[batch, n_codebooks, frames]`, int64 on the CPU, and the state after them.
        """
        batch, frames = len(audio), audio.shape[-1] // self._hop
        if frames == 0:
            return torch.zeros(batch, n_codebooks, 0, dtype=torch.long), state
        if self._history is None:
            latents, layers = self._encoder64(audio.to(self._place, torch.float64), state.layers)
            codes = self._quantizer64.encode(latents, n_codebooks).codes
            return codes.cpu(), EncoderState(layers, None, state.frames + frames, 0)
        latents, layers = self._network.encoder(audio.to(self._network.device), state.layers)
        searched = self._network.quantizer.encode(latents, n_codebooks)
        codes = searched.codes.cpu()
        bound = _ROUNDING * latents.norm(dim=1).clamp(min=self._typical)
        unsure = (searched.gap <= bound).cpu()
        for row, count in enumerate(valid or ()):
            unsure[row, count:] = False
        seen = audio.cpu() if state.past is None else torch.cat([state.past, audio.cpu()], dim=-1)
        rechecked = int(unsure.sum())
        if rechecked:
            for row in unsure.any(1).nonzero()[:, 0].tolist():
                self._recheck(codes[row], unsure[row], seen[row], state.frames + frames)
        past = seen[..., max(0, seen.shape[-1] - self._history) :]
        return codes, EncoderState(layers, past, state.frames + frames, state.rechecked + rechecked)

    def _recheck(self, codes: torch.Tensor, unsure: torch.Tensor, seen: torch.Tensor, frames: int) -> None:
        """Decides the unsure frames of one row in float64; writes into codes `[n_codebooks, frames]`."""
        assert self._history is not None
        hop, reach = self._hop, self._history // self._hop
        held = seen.shape[-1] // hop  # frames of audio at hand; the last `len(unsure)` of them are new
        at_start = held == frames
        new = held - len(unsure)
        for first, last in _runs((unsure.nonzero()[:, 0] + new).tolist(), reach):
            # A stream's start is a state of its own, which no run-in of zeros can replace.
            begin = 0 if at_start and first < reach else first - reach
            window = seen[None, :, begin * hop : (last + 1) * hop].to(self._place, torch.float64)
            latents = self._encoder64(window)[0][..., first - begin :]
            exact = self._quantizer64.encode(latents, len(codes)).codes[0].cpu()
            run = slice(first - new, last + 1 - new)
            codes[:, run] = torch.where(unsure[run], exact, codes[:, run])


def _runs(frames: list[int], reach: int) -> list[tuple[int, int]]:
    """Ascending frames as stretches (first, last); frames nearer than `reach` share one, and its run-in."""
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and frame - runs[-1][1] <= reach:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs
