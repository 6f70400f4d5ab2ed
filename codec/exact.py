"""Codes that do not depend on how they were computed: a float32 search, and a float64 recheck of close calls.

Matrix products of different shapes, thread counts or machines round differently, and a latent that lies
almost on the border between two codes may fall on either side. Here a frame that is closer to a border than
rounding can move it is computed again in float64, from the stretch of audio that it depends on, and decided
there. The codes are then those of float64 arithmetic everywhere: for a stream cut in any way, for a batch,
for one thread or many.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

from codec.models.network import CodecNetwork
from codec.nn import State

# Largest error of a float32 latent, relative to its norm (or, if larger, to a typical latent's): 4 times the
# largest seen over 10,000 frames of speech, music, silence, clicks and noise of all levels (2.4e-6), and 13
# times the largest error of a gap (8e-7), which only the part of the error in one direction changes.
_ROUNDING = 1e-5

# Frames recomputed at once: enough to be efficient, few enough for little memory.
_RECHECK_FRAMES = 1024


@dataclass(frozen=True)
class EncoderState:
    """Where a stream stands.

    layers: state of the encoder's layers, or None at the start.
    past: the audio `[batch, 1, samples]` that coming frames still depend on, as far as there is any.
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
        # Equal vectors are equally near: which one a search returns is chance, so the first stands for all.
        self._first_equals = [indices.cpu() for indices in network.quantizer.first_equals()]

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
            return self._canonical(codes.cpu()), EncoderState(layers, None, state.frames + frames, 0)
        with _full_precision(self._network.device):
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
            self._recheck(codes, unsure, seen, at_start=seen.shape[-1] == (state.frames + frames) * self._hop)
        past = seen[..., max(0, seen.shape[-1] - self._history) :]
        return self._canonical(codes), EncoderState(
            layers, past, state.frames + frames, state.rechecked + rechecked
        )

    def _recheck(
        self, codes: torch.Tensor, unsure: torch.Tensor, seen: torch.Tensor, *, at_start: bool
    ) -> None:
        """Decides the unsure `[batch, frames]` in float64, in place in codes `[batch, n_codebooks, frames]`.

        `seen` is the audio of these frames and of what they depend on; at_start: it begins where the stream
        did.
        """
        assert self._history is not None
        reach = self._history // self._hop
        # Frames of `seen` are counted from its beginning; `unsure` is about the last of them.
        old = seen.shape[-1] // self._hop - unsure.shape[1]
        alike: dict[int, list[_Window]] = defaultdict(list)
        for row, marks in enumerate(unsure):
            for window in _windows(row, (marks.nonzero()[:, 0] + old).tolist(), reach, at_start):
                alike[window.frames].append(window)
        for frames, windows in alike.items():
            at_once = max(1, _RECHECK_FRAMES // frames)
            for first in range(0, len(windows), at_once):
                self._decide(codes, seen, windows[first : first + at_once], old)

    def _decide(self, codes: torch.Tensor, seen: torch.Tensor, windows: list[_Window], old: int) -> None:
        audio = torch.stack(
            [seen[w.row, :, w.begin * self._hop : (w.begin + w.frames) * self._hop] for w in windows]
        )
        latents = self._encoder64(audio.to(self._place, torch.float64))[0]
        wanted = [(i, w.row, frame, w.begin) for i, w in enumerate(windows) for frame in w.decided]
        item, row, frame, begin = (torch.tensor(column) for column in zip(*wanted, strict=True))
        chosen = latents.transpose(1, 2)[item, frame - begin]
        exact = self._quantizer64.encode(chosen.T[None], codes.shape[1]).codes[0]
        codes[row, :, frame - old] = exact.T.cpu()

    def _canonical(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes `[batch, n_codebooks, frames]` with the first of equal vectors in the place of each."""
        return torch.stack([self._first_equals[i][codes[:, i]] for i in range(codes.shape[1])], dim=1)


class _Window(NamedTuple):
    """Consecutive frames of a row of audio, and those of them to decide; the first has its past before it."""

    row: int
    begin: int
    frames: int
    decided: list[int]


def _windows(row: int, unsure: list[int], reach: int, at_start: bool) -> list[_Window]:
    """Windows for unsure frames (ascending), each of which depends on the `reach` frames before it."""
    windows = []
    if at_start:
        # A stream's start is a state of its own, which no run-in of zeros can replace.
        early = [frame for frame in unsure if frame < reach]
        if early:
            windows.append(_Window(row, 0, early[-1] + 1, early))
        unsure = unsure[len(early) :]
    if unsure:
        whole = _Window(row, unsure[0] - reach, unsure[-1] - unsure[0] + 1 + reach, unsure)
        if len(unsure) * (reach + 1) < whole.frames:
            windows += [_Window(row, frame - reach, reach + 1, [frame]) for frame in unsure]
        else:
            windows.append(whole)
    return windows


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """No TensorFloat-32 on Nvidia GPUs, whose errors are a thousand times those of float32."""
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
